"""axe-core in a page: fetched from npm when first needed, kept outside of the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "4.14.0"
SHA256 = "2277b0a3ef47af9b52497faa3e71598e86e0a0e5e6eb295207a5657ede4709af"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxotel"
GRAVE = ("serious", "critical")


@cache
def source() -> str:
    """axe.min.js of VERSION.

    It skips without npm on a developer's machine; CI has it.
    """
    packed = KEPT / f"axe-core-{VERSION}.tgz"
    if not packed.exists():
        if shutil.which("npm") is None and os.environ.get("CI") != "true":
            pytest.skip("axe-core comes from npm, which is not here")
        KEPT.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "pack", "--silent", "--ignore-scripts", f"axe-core@{VERSION}"],
            cwd=KEPT,
            check=True,
            timeout=120,
        )
    found = hashlib.sha256(packed.read_bytes()).hexdigest()
    assert found == SHA256, f"{packed} is not what it was: {found}; remove it"
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def complaints_of(page: Page) -> list[str]:
    """What axe calls serious or critical, with the elements."""
    page.evaluate(source())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {', '.join(node['html'][:160] for node in one['nodes'][:5])}"
        for one in found["violations"]
        if one["impact"] in GRAVE
    ]
