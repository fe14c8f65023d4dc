"""Pictures of judged calls in Jaeger's own pages: docs/img/jaeger-search.png and jaeger-trace.png.

The calls are those of the desk's pictures, always of the same moment, through otelcol-cx into a Jaeger that
keeps them in memory.

Behind `make pictures`. Needs otelcol-cx, Jaeger (tests/e2e/backends.py says where it is looked for) and
Chromium (Debian's, or the path in $CHROMIUM).
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from playwright.sync_api import sync_playwright

from cxotel.otlp.proto import to_request

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e")]
from backends import jaeger  # noqa: E402 - the tests' servers and calls are what is shown
from desk_calls import some_calls  # noqa: E402
from otelcol import eventually, otelcol, send  # noqa: E402
from pictures import IMAGES, MOMENT  # noqa: E402

MICROSECOND, HOUR = 1_000, 3_600_000_000_000  # ns
WIDTH = 1440
QUICK = {"processors": {"cx_impact": {"grace": "500ms"}}}


def main() -> None:
    """Start a Jaeger behind a Collector on free ports, send it calls, and take both pages."""
    calls = some_calls(MOMENT)
    hurt = next(call for call in calls if call.key == "amz-4442-a")
    with tempfile.TemporaryDirectory() as folder, jaeger(Path(folder)) as backend:
        collector = otelcol(
            Path(folder) / "otelcol", "jaeger.yaml", over=QUICK, JAEGER_OTLP_ENDPOINT=backend.otlp
        )
        with collector as running:
            send(running.otlp, [to_request(call.spans).SerializeToString() for call in calls])
            eventually(
                lambda: running.metric("processor_cx_impact_stamped"), 20, lambda done: done == len(calls)
            )
        when = f"lookback=3h&start={(MOMENT - 3 * HOUR) // MICROSECOND}&end={MOMENT // MICROSECOND}"
        pages = (
            ("search", 1240, f"/search?service=ccaas-core&limit=20&{when}", "12 Traces"),
            ("trace", 1080, f"/trace/{hurt.trace_id}", "carrier loss"),
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
            )
            for name, height, path, text in pages:
                page = browser.new_page(
                    viewport={"width": WIDTH, "height": height}, timezone_id="Europe/London", locale="en-GB"
                )
                page.clock.install(time=datetime.fromtimestamp(MOMENT / 1e9, timezone.utc))
                page.goto(backend.url + path)
                page.get_by_text(text).first.wait_for()
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(3000)  # the chart above the calls grows
                image = IMAGES / f"jaeger-{name}.png"
                page.screenshot(path=image, animations="disabled")
                print(image.relative_to(ROOT))
                page.close()
            browser.close()


if __name__ == "__main__":
    main()
