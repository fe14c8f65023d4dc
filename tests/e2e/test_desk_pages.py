"""The desk's pages in a real browser: layout, themes, keyboard, live updates, hostile senders."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cxotel.desk import store as stores
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing

sys.path.insert(0, str(Path(__file__).parent.parent))
from axe import complaints_of
from desk_calls import CallMaker, running_calls, some_calls, whole_call
from desk_sending import send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.e2e
HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>{{7*7}}\'"' + "W" * 300


@pytest.fixture(scope="module")
def desk() -> Iterator[tuple[Desk, list[CallMaker]]]:
    """A desk with a dozen calls and one hostile one."""
    calls = some_calls(time.time_ns())
    hostile = whole_call(HOSTILE, calls[0].start, queue=74, carrier="0*20 14*20 0*20")
    for span in hostile.spans:
        span.service = HOSTILE
        span.attributes = {
            **span.attributes,
            **{key: HOSTILE for key in span.attributes if key in ("cx.owner", "cx.queue.name", "cx.site")},
            HOSTILE: HOSTILE,
        }
    hostile.add(HOSTILE, HOSTILE, 10, 20, cx_layer="crm", cx_activity="lookup")
    # More than a list shows at once, so that its end is one too.
    many = [whole_call(f"many {number}", calls[0].start - number * 10**9) for number in range(50)]
    with Desk(timing=Timing(grace=0.1, settle=0.02)) as running:
        for call in (*calls, *many, hostile):
            send(running, call)
        for call in (*calls, *many, hostile):
            running.wait_for_verdict(call.trace_id)
        for call in running_calls(time.time_ns()):
            send(running, call)
        while len(httpx.get(running.web_url + "/now.json").json()["calls"]) < 3:
            time.sleep(0.01)
        yield running, [*calls, hostile]


def hurt_of(calls: list[CallMaker]) -> CallMaker:
    """The one with a bit of everything."""
    return next(call for call in calls if call.key == "amz-4442-a")


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, and fails if any of them complains to its console."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def open_page(url: str, width: int = 1440, scheme: str = "light", **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            timezone_id="Asia/Kolkata",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if "404" not in message.text else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def pages(desk: Desk, calls: list[CallMaker]) -> list[str]:
    """All kinds of pages, with the hostile call and one that runs."""
    hurt, hostile = hurt_of(calls), calls[-1]
    return [
        desk.web_url,
        desk.web_url + "/?q=nothing&queue=billing&severity=severe&from=2020-01-01",
        desk.web_url + "/now",
        desk.web_url + "/received",
        f"{desk.call_url(hurt.trace_id)}/spans",
        *(desk.call_url(call.trace_id) for call in (calls[0], hurt, hostile)),
        desk.web_url + "/call/nothing",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_is_wider_than_the_window(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page], width: int, scheme: str
) -> None:
    """Nothing scrolls sideways, also with every span open and hostile names of 300 letters."""
    for url in pages(*desk):
        page = opened(url, width, scheme)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, url


def test_addresses_stay_in_one_line_on_a_phone(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """An address that breaks within its port is read and copied wrong."""
    page = opened(desk[0].web_url + "/received", 390)
    for address in (desk[0].grpc_endpoint, desk[0].http_endpoint):
        lines = page.get_by_text(address, exact=True).evaluate(
            "one => { const range = document.createRange(); range.selectNodeContents(one);"
            " return range.getClientRects().length }"
        )
        assert lines == 1


def test_nothing_stands_on_a_charts_line(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """The scale is said above the chart, not over its first windows."""
    server, calls = desk
    page = opened(server.call_url(hurt_of(calls).trace_id))
    assert page.locator("svg.chart").count() > 0
    assert page.locator("svg.chart text").count() == 0
    assert "0 to " in page.locator("figcaption").first.inner_text()


def test_nothing_a_sender_writes_runs(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Hostile names, values, owners and keys are text on every page."""
    for url in pages(*desk):
        page = opened(url)
        assert page.evaluate("window.owned") is None
        assert page.locator("img").count() == 0


def contrast(page: Page) -> list[str]:
    """Texts whose contrast is under 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    found: list[str] = page.evaluate(
        """() => {
          const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          const rgb = (colour, under) => {
            canvas.fillStyle = `rgb(${under})`; canvas.fillRect(0, 0, 1, 1);
            canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
          };
          const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
          const light = (c) => c.map((v) => linear(v / 255))
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
          const ground = (e) => {
            const all = []; for (let n = e; n; n = n.parentElement) all.unshift(n);
            return all.reduce((under, n) => rgb(getComputedStyle(n).backgroundColor, under), [255, 255, 255]);
          };
          const bad = [];
          for (const e of document.querySelectorAll("main *, header *, footer *")) {
            const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
            if (!own || e.closest("svg") || !e.getClientRects().length) continue;
            const under = ground(e), a = light(rgb(getComputedStyle(e).color, under)), b = light(under);
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < 4.5) bad.push(`${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
          }
          return bad;
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page], scheme: str
) -> None:
    """In both themes, all texts stand out from their ground."""
    running, calls = desk
    for url in pages(running, calls):
        assert contrast(opened(url, 1440, scheme)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_serious(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page], width: int, scheme: str
) -> None:
    """On every page, with its filters and spans open, in both themes and widths."""
    for url in pages(*desk):
        page = opened(url, width, scheme)
        page.evaluate(
            "document.querySelectorAll('.kind:first-of-type, #spans > details:nth-child(-n+3)')"
            ".forEach((one) => { one.open = true })"
        )
        assert complaints_of(page) == [], url


def test_times_are_the_readers_own(desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]) -> None:
    """In Kolkata it is half past two when it is nine in Greenwich."""
    running, _ = desk
    call = whole_call("kolkata")
    send(running, call)
    running.wait_for_verdict(call.trace_id)
    page = opened(running.call_url(call.trace_id))
    assert "14:30:00" in page.locator(".hero time").first.inner_text()
    assert page.locator("svg.axis text").first.text_content() == "14:30:00"
    assert "Kolkata" in page.locator("#foot").inner_text() or "Calcutta" in page.locator("#foot").inner_text()


def test_without_scripts_times_are_utc_and_all_is_there(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Scripts only add comfort."""
    running, calls = desk
    page = opened(running.call_url(hurt_of(calls).trace_id), java_script_enabled=False)
    assert "UTC" in page.locator(".hero time").first.inner_text()
    page.locator("#spans summary").first.click()
    assert page.locator("#spans .fields").first.is_visible()


def test_a_new_call_appears_and_its_page_is_a_click_away(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Without reloading: first provisional, then final."""
    running, _ = desk
    page = opened(running.web_url)
    page.evaluate("window.mine = 1")
    call = whole_call("live", time.time_ns() - 300 * 10**9, queue=74)
    send(running, call)
    page.locator(f"#c-{call.trace_id}").wait_for(timeout=5000)
    page.locator(f"#c-{call.trace_id} a.sentence").click()
    page.wait_for_url(running.call_url(call.trace_id))
    assert page.locator("h1").inner_text().startswith("The customer waited 54 of 300 seconds too long")


def test_a_list_that_is_read_stays_where_it_is(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Scrolled down or pointed at, new calls wait behind a button; known ones change in their place."""
    running, _ = desk
    page = opened(running.web_url)
    first = page.locator("#calls .item").nth(1).get_attribute("id")
    page.locator("#calls .item").nth(20).scroll_into_view_if_needed()
    page.evaluate("window.mine = document.querySelectorAll('#calls .item').length")
    calls = [whole_call(f"later {number}", time.time_ns() - 300 * 10**9) for number in range(2)]
    for call in calls:
        send(running, call)
        running.wait_for_verdict(call.trace_id)
    button = page.get_by_role("button", name="2 new calls")
    button.wait_for(timeout=5000)
    assert page.evaluate("window.mine === document.querySelectorAll('#calls .item').length")
    assert page.locator(f"#c-{calls[0].trace_id}").count() == 0
    assert page.locator(f"#{first}").count() == 1
    assert page.evaluate("scrollY") > 100
    button.click()
    page.locator(f"#c-{calls[1].trace_id}").wait_for(timeout=5000)
    assert page.evaluate("scrollY") == 0
    assert page.locator("#news button").count() == 0


def test_a_known_call_changes_in_its_place(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """A running call that ends says so under the reader's pointer, and the list does not move."""
    running, _ = desk
    call = whole_call("ends", time.time_ns() - 300 * 10**9)
    root = call.spans.pop()
    send(running, call)
    page = opened(running.web_url)
    row = page.locator(f"#c-{call.trace_id}")
    row.wait_for(timeout=5000)
    row.hover()
    assert "Running" in row.inner_text()
    call.spans[:] = [root]
    send(running, call)
    running.wait_for_verdict(call.trace_id)
    row.get_by_text("Running").wait_for(state="detached", timeout=5000)
    row.hover()


def test_a_filter_is_chosen_by_hand_and_taken_off_again(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """By keyboard alone; the address says it; Escape closes a list and gives the focus back."""
    running, _ = desk
    page = opened(running.web_url, 390)
    severity = page.locator("summary", has_text="Severity")
    severity.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Critical").focus()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Severity"
    page.keyboard.press("Enter")
    page.get_by_label("Critical").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?severity=critical")
    assert set(page.locator("#calls .item .sev").all_inner_texts()) == {"\N{BLACK CIRCLE} Critical"}
    page.get_by_role("link", name="Without Severity Critical").click()
    page.wait_for_url(running.web_url + "/")


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("2026-11-20T05:30", "2026-11-20T05%3A30%2B05%3A30"),
        ("2026-11-20", "2026-11-20T00%3A00%2B05%3A30"),
        ("2026-11-20T09:00Z", "2026-11-20T09%3A00Z"),
        ("24h", "24h"),
    ],
)
def test_a_time_is_typed_as_the_page_shows_it(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page], typed: str, asked: str
) -> None:
    """In the reader's zone, which the address then says; one that says its own is left alone."""
    page = opened(desk[0].web_url, 390)
    page.locator("summary", has_text="Time").click()
    page.get_by_label("From your time").fill(typed)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/?from={asked}")


def test_the_search_leads_to_the_call(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """A key, Enter, and there it is."""
    running, calls = desk
    page = opened(running.web_url)
    page.get_by_role("searchbox").fill(calls[3].key)
    page.keyboard.press("Enter")
    page.wait_for_url(running.call_url(calls[3].trace_id))


def test_the_theme_that_is_chosen_is_remembered(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Against the system's, from page to page; and back to the system's."""
    running, _ = desk
    page = opened(running.web_url, scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="System").click()
    page.get_by_role("button", name="Light").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.goto(running.web_url + "/now")
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_now_shows_a_call_that_begins_and_counts_its_seconds(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Without reloading, first in the list of those without a warning if it runs longest."""
    running, _ = desk
    page = opened(running.web_url + "/now")
    call = CallMaker("begins", time.time_ns() - 3000 * 10**9)
    call.add("ivr", "ivr", 0, 5, cx_layer="ccaas", cx_activity="ivr")
    send(running, call)
    row = page.locator(f"#r-{call.trace_id}")
    row.wait_for(timeout=5000)
    assert "50 min" in row.inner_text()
    row.get_by_role("link", name=call.key).click()
    page.wait_for_url(running.call_url(call.trace_id))


def test_an_open_call_page_follows_its_corrections(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """What is open stays open, and the page is not loaded again."""
    running, _ = desk
    call = whole_call("follow", lookup=9)
    late = [span for span in call.spans if span.name == "crm lookup"]
    call.spans[:] = [span for span in call.spans if span.name != "crm lookup"]
    send(running, call)
    running.wait_for_verdict(call.trace_id)
    page = opened(running.call_url(call.trace_id))
    page.locator("#spans summary").nth(3).click()
    page.evaluate("window.mine = 1")
    open_id = page.locator("#spans details[open]").get_attribute("id")
    call.spans[:] = late
    send(running, call)
    page.get_by_text("because more of the call came in late").wait_for(timeout=5000)
    assert page.locator(f"#{open_id}[open]").count() == 1
    assert page.evaluate("window.mine") == 1


def test_evidence_opens_its_span_with_the_keyboard(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """Tab to the link, Enter, and the span is open and in sight."""
    running, calls = desk
    page = opened(running.call_url(hurt_of(calls).trace_id))
    link = page.locator(".proofs a").first
    link.focus()
    page.keyboard.press("Enter")
    target = page.locator(link.get_attribute("href"))
    target.locator(".fields").first.wait_for(state="visible")
    assert page.evaluate("document.activeElement.closest('details').id") == target.get_attribute("id")


def test_the_first_tab_stop_skips_to_the_content(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """WCAG 2.2, 2.4.1."""
    page = opened(desk[0].web_url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"


def test_print_shows_every_span_on_white(
    desk: tuple[Desk, list[CallMaker]], opened: Callable[..., Page]
) -> None:
    """A call goes on paper whole."""
    running, calls = desk
    page = opened(running.call_url(hurt_of(calls).trace_id))
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#spans > details:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_an_open_page_says_that_the_file_cannot_be_written_and_when_it_can_again(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without reload, at both widths, as axe likes it."""
    monkeypatch.setattr(stores, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(stores, "CALM_SECONDS", 0.2)
    with Desk(tmp_path / "d.sqlite", timing=Timing(grace=0.1, settle=0.02)) as running:
        call = whole_call("banner")
        send(running, call)
        running.wait_for_verdict(call.trace_id)
        running.store.write(lambda to: to.execute("PRAGMA busy_timeout = 20").fetchall()).result(5)
        context = browser.new_context(viewport={"width": 390, "height": 800})
        page = context.new_page()
        page.goto(running.call_url(call.trace_id))
        banner = page.locator("#trouble [role=alert]")
        assert banner.count() == 0
        other = sqlite3.connect(tmp_path / "d.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            send(running, whole_call("put off"))
        banner.wait_for()
        assert "File locked: nothing new is kept" in banner.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints_of(page) == []
        other.close()
        banner.wait_for(state="detached")
        context.close()
