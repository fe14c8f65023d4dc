"""Pictures of the desk's pages, with calls in it, at 1440 and 390 px, light and dark: docs/img/*.png.

The calls are always of the same moment, so that a picture changes only if its page does.

Behind `make pictures`. Needs Chromium (Debian's, or the path in $CHROMIUM).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import httpx
from playwright.sync_api import sync_playwright

from cxotel.desk.app import Desk
from cxotel.desk.links import parse
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from desk_calls import CallMaker, S, running_calls, some_calls, whole_call  # noqa: E402 - the tests' calls are shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = ROOT / "docs" / "img"
MOMENT = 1_795_167_686_000_000_000  # ns; 2026-11-20T09:41:26Z
DAY = 24 * 3600 * S
LINKS = (
    "Jaeger=http://localhost:16686/trace/{trace_id}",
    "Grafana=http://localhost:3000/explore?q={trace_id}",
)
# (width, height of the window, scheme)
SHOTS = ((1440, 1000, "light"), (1440, 1000, "dark"), (390, 844, "light"), (390, 844, "dark"))


def earlier_calls() -> list[CallMaker]:
    """The same hour of four days before."""
    return [
        whole_call(
            f"amz-{day}{number}", MOMENT - day * DAY - (8 + 9 * number) * 60 * S, queue=18 + 9 * number
        )
        for day in range(1, 5)
        for number in range(day % 3 + 3)
    ]


def send(desk: Desk, calls: list[CallMaker]) -> None:
    """Calls over OTLP/HTTP, one by one."""
    for call in calls:
        httpx.post(
            desk.http_endpoint + "/v1/traces",
            content=to_request(call.spans).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        ).raise_for_status()


def stop_the_clock(desk: Desk) -> None:
    """What is of the moment of taking the picture becomes MOMENT."""
    for statement in (
        "UPDATE warning SET at = ?",
        "UPDATE call SET last_received = ?",
        "UPDATE counter SET last = ?",
        "UPDATE verdict SET at = ?",
    ):
        desk.store.write(lambda to, text=statement: to.execute(text, (MOMENT,))).result()


def take(browser: Browser, addresses: dict[str, str]) -> None:
    """Every page at every width and theme; those that are longer than a window whole as well."""
    for width, height, scheme in SHOTS:
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/London"
        )
        page.clock.set_fixed_time(MOMENT / 1e9)
        for name, url in addresses.items():
            page.goto(url)
            if name == "filter":
                page.locator("summary", has_text="Queue").click()
            whole = name in ("call", "now") and scheme == "light"
            for part in ("", "-whole") if whole else ("",):
                path = IMAGES / f"desk-{name}-{width}-{scheme}{part}.png"
                page.screenshot(path=path, full_page=bool(part))
                print(path.relative_to(ROOT))
        page.close()


def main() -> None:
    """Start a desk on free ports, send it calls, and take its pages."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    calls, running = some_calls(MOMENT), running_calls(MOMENT)
    timing = Timing(grace=0.1, settle=0.05)
    with (
        Desk(timing=timing, links=parse(LINKS)) as desk,
        sync_playwright() as playwright,
        patch("cxotel.desk.pages.time_ns", return_value=MOMENT),
    ):
        judged = [*earlier_calls(), *calls]
        send(desk, [*judged, *running])
        for call in judged:
            desk.wait_for_verdict(call.trace_id)
        while len(httpx.get(desk.web_url + "/now.json").json()["calls"]) < len(running):
            pass
        stop_the_clock(desk)
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        hurt = next(call for call in calls if call.key == "amz-4442-a")
        addresses = {
            "calls": desk.web_url,
            "filter": desk.web_url + "/?severity=moderate&severity=severe&from=2026-11-20T06:00",
            "call": desk.call_url(hurt.trace_id),
            "running": desk.call_url(running[0].trace_id),
            "now": desk.web_url + "/now",
        }
        take(browser, addresses)
        browser.close()


if __name__ == "__main__":
    main()
