"""No code block of README, docs and examples goes unrun."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), *(ROOT / "examples").glob("*/README.md")]
OPENING = re.compile(r"^```(.*)$", re.MULTILINE)
# Configurations of the Collector and of Prometheus, which tests/e2e/test_collector_guide.py gives to both.
WITH_YAML = ROOT / "docs" / "guides" / "collector.md"


def test_every_block_is_of_a_language_that_is_run() -> None:
    """`make doctest` runs python and bash; a block of nothing or of another language would go stale."""
    for page in PAGES:
        openings = OPENING.findall(page.read_text(encoding="utf-8"))[::2]
        run = {"python", "bash", *(("yaml",) if page == WITH_YAML else ())}
        assert [] == [language for language in openings if language not in run], page


def test_readme_is_short() -> None:
    """At most 600 words."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 600
