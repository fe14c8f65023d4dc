"""Pictures of the desk's pages, with calls in it, at 1440 and 390 px, light and dark: docs/img/*.png.

The calls are always of the same moment, so that a picture changes only if its page does.

Behind `make pictures`. Needs Chromium (Debian's, or the path in $CHROMIUM).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from desk_calls import some_calls  # noqa: E402 - the tests' calls are what is shown

IMAGES = ROOT / "docs" / "img"
MOMENT = 1_795_167_686_000_000_000  # ns; 2026-11-20T09:41:26Z
# (width, height of the window, scheme)
SHOTS = ((1440, 1000, "light"), (1440, 1000, "dark"), (390, 844, "light"), (390, 844, "dark"))


def main() -> None:
    """Start a desk on free ports, send it calls, and take both pages."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    calls = some_calls(MOMENT)
    with Desk(timing=Timing(grace=0.1, settle=0.05)) as desk, sync_playwright() as playwright:
        for call in calls:
            httpx.post(
                desk.http_endpoint + "/v1/traces",
                content=to_request(call.spans).SerializeToString(),
                headers={"content-type": "application/x-protobuf"},
            ).raise_for_status()
            desk.wait_for_verdict(call.trace_id)
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        hurt = next(call for call in calls if call.key == "amz-4442-a")
        for width, height, scheme in SHOTS:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/London"
            )
            for name, url in (("calls", desk.web_url), ("call", desk.call_url(hurt.trace_id))):
                page.goto(url)
                whole = name == "call" and scheme == "light"
                for part in ("", "-whole") if whole else ("",):
                    path = IMAGES / f"desk-{name}-{width}-{scheme}{part}.png"
                    page.screenshot(path=path, full_page=bool(part))
                    print(path.relative_to(ROOT))
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
