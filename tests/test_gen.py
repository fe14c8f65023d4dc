"""Generated files say what the spec says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxotel._semconv import CxActivity
from cxotel.activity import KINDS
from cxotel.impact._parameters import VALUES

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import gen  # noqa: E402  (tools/ is no package)
import gen_go  # noqa: E402
import gen_parameters  # noqa: E402
import registry as registry_module  # noqa: E402


def test_no_generated_file_has_drifted() -> None:
    """Whoever changes the spec runs the generator."""
    assert gen.drifted(gen.render_all()) == []


def test_check_names_the_file_that_drifted_and_fails(tmp_path: Path) -> None:
    """`--check` on a changed copy of the tree prints its path and exits with 1, and mends nothing."""
    for part in ("tools", "spec"):
        (tmp_path / part).symlink_to(ROOT / part)
    script = tmp_path / "check.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import gen, pathlib\n"
        f"gen.ROOT = pathlib.Path({str(tmp_path)!r}); stale = {{'docs/x.md': 'new'}}\n"
        "gen.render_all = lambda: stale\n"
        "sys.exit(gen.main(['--check']))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "docs/x.md: differs from spec/, run tools/gen.py\n")
    assert not (tmp_path / "docs").exists()


def test_a_missing_file_has_drifted(tmp_path: Path) -> None:
    """A generated file that is not there is named like one that differs."""
    (tmp_path / "same.md").write_text("same")

    assert gen.drifted({"same.md": "same", "absent.md": ""}, tmp_path) == ["absent.md"]


def test_constants_are_named_after_attributes() -> None:
    """Dots become underscores; classes of values are in capitals."""
    assert gen.constant("cx.media.to_agent.loss_pct") == "CX_MEDIA_TO_AGENT_LOSS_PCT"
    assert gen.class_name("cx.call.ended_by") == "CxCallEndedBy"


def test_constants_in_go_are_named_after_attributes() -> None:
    """Words are joined in capitals; `id` is an initialism where it is a word, and nowhere else."""
    assert gen_go.go_name("cx.call.ended_by") == "CxCallEndedBy"
    assert gen_go.go_name("cx.call.id") == "CxCallID"
    assert gen_go.go_name("cx.idle") == "CxIdle"
    assert gen_go.go_name("call (partial)") == "CallPartial"


def test_go_has_a_constant_for_every_name_of_the_registry() -> None:
    """Attributes, values, events and metrics: one that is left out could only be written by hand."""
    registry = registry_module.load()
    names = gen_go.render_names(registry)
    wanted = [*registry.attributes, *(one["name"] for one in (*registry.events, *registry.metrics))]
    wanted += [value for one in registry.attributes.values() for _, value, _ in one.members]

    assert [name for name in wanted if f' = "{name}"\n' not in names] == []


def test_go_has_the_parameters_of_python_in_the_same_order() -> None:
    """Names, whole numbers as such, and ranges."""
    text = gen_go.render_parameters(ROOT / "spec" / "impact" / "parameters.yaml")
    lines = [line for line in text.splitlines() if line.startswith('\t{"')]

    assert [line.split('"')[1] for line in lines] == list(VALUES)
    assert '\t{"quality.windows", int64(1000), "windows", 1, 9999},' in lines
    assert '\t{"severity.minor", float64(3.0), "s", 0.0, 10000000.0},' in lines


@pytest.mark.skipif(shutil.which("gofmt") is None, reason="gofmt comes with Go, which is not here")
def test_gofmt_leaves_generated_files_alone() -> None:
    """The generator aligns as gofmt does, so that whoever has Go sees no change."""
    for path in (gen_go.NAMES, gen_go.PARAMETERS):
        text = gen.render_all()[path]
        done = subprocess.run(["gofmt"], input=text, capture_output=True, text=True, check=True)
        assert done.stdout == text


def test_the_docs_page_holds_every_attribute() -> None:
    """A name of the registry that the reference leaves out would be undocumented."""
    registry = registry_module.load()
    page = gen.render_attributes_page(registry)

    assert [key for key in registry.attributes if f"`{key}" not in page] == []


def test_an_allowance_without_its_words_is_refused(tmp_path: Path) -> None:
    """A new wait needs a layer, a symptom and words for its cause; the message names what is missing."""
    source = tmp_path / "parameters.yaml"
    text = (ROOT / "spec" / "impact" / "parameters.yaml").read_text(encoding="utf-8")
    source.write_text(text.replace("name: allowance.hold", "name: allowance.callback"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"wait\.default_layers lacks an entry 'callback'"):
        gen_parameters.render(source)


def test_every_activity_has_its_usual_layer_and_name() -> None:
    """`start_activity` knows each member of cx.activity, so that none is a span called `activity`."""
    assert set(CxActivity.VALUES) == set(KINDS)
