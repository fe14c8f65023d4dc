"""The guide's configurations and queries are given to what reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from collector_rig import ROOT, collector_binary
from hub import MONITORING
from otelcol import CONFIGS, laid_over

if TYPE_CHECKING:
    from pathlib import Path

    from hub import Hub

pytestmark = pytest.mark.e2e
GUIDE = (ROOT / "docs" / "guides" / "collector.md").read_text()
BLOCKS = [
    yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
]
MANIFEST, PIPELINE, SCRAPING, TIER = BLOCKS
QUERIES = [text.replace("\\|", "|") for text in re.findall(r"`(\{ .*? \})`", GUIDE)]


def validated(config: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What the Collector says of a configuration."""
    binary = collector_binary()
    if binary is None:
        pytest.skip("no otelcol-cx: run `make collector`")
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [binary, "validate", f"--config={file}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_lines_for_a_manifest_are_those_that_we_build_with() -> None:
    """But for the path to a clone."""
    ours = yaml.safe_load((ROOT / "collector" / "builder-config.yaml").read_text())
    for part, lines in MANIFEST.items():
        built = [{key: line[key] for key in line if key != "path"} for line in ours[part]]
        assert all(line in built for line in lines)


def test_the_pipeline_is_valid(tmp_path: Path) -> None:
    """With the judge's state in a folder that there is."""
    state = {"extensions": {"file_storage": {"directory": str(tmp_path)}}}
    done = validated(laid_over(PIPELINE, state), tmp_path)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_first_tier_is_valid(tmp_path: Path) -> None:
    """The exporter in the place of gateway.yaml's."""
    gateway = yaml.safe_load((CONFIGS / "gateway.yaml").read_text())
    done = validated({**gateway, "exporters": TIER["exporters"]}, tmp_path)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here (Debian: prometheus)")
def test_prometheus_takes_its_part(tmp_path: Path) -> None:
    """With the alert rules that ship."""
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump({**SCRAPING, "rule_files": [str(MONITORING / "alerts.yaml")]}))
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("query", QUERIES)
def test_tempo_takes_a_query(hub: Hub, query: str) -> None:
    """What it finds is the business of test_collector_backends.py."""
    assert "traces" in hub.backend("tempo").ask("/api/search", q=query)
