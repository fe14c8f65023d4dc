"""What senders write is text on every page, in a real browser: nothing runs or loads, all stays readable."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cxotel.desk.access import Access
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

sys.path.insert(0, str(Path(__file__).parent.parent))
from desk_calls import CallMaker, whole_call
from desk_sending import post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = pytest.mark.e2e
PASSWORD = "correct horse"
RUN = "window.owned=1;alert(1)"
HOSTILE = {
    "script": f"<script>{RUN}</script>",
    "img": f"\"><img src=x onerror='{RUN}'>",
    "svg": f"'><svg/onload={RUN}>",
    "url": f"javascript:{RUN}//",
    "data url": f"data:text/html,<script>{RUN}</script>",
    "template": "{{7*7}}${7*7}{% raw %}<%=7*7%>",
    "end": f'</title></textarea></style></script></pre><iframe srcdoc="<script>parent.{RUN}</script>">',
    "style": "</style><style>@import 'https://evil.example/a.css';body{display:none}</style>",
    "meta": '<meta http-equiv="refresh" content="0;url=https://evil.example/"><base href="https://evil.example/">',
    "event": f"\r\n\r\nevent: change\r\ndata: {RUN}\r\n\r\n",
    "bidi": "\u202egnirts\u202c \u2066a\u2069 \u200b\ufeff\u0000\u0007\x1b[31m",
    "large": "W" * 2**20,
}


def hostile_call(name: str, text: str) -> CallMaker:
    """A call that has the text wherever a sender can put one."""
    call = whole_call(
        f"{name} {text[:5000]}", time.time_ns() - 400 * 10**9, queue=74, carrier="0*20 14*20 0*20"
    )
    for span in call.spans:
        span.service = text
        taken = ("cx.owner", "cx.queue.name", "cx.site", "cx.partner", "cx.carrier.name", "hw.model")
        taken += ("cx.crm.system", "cx.customer.ref", "cx.media.codec", "sip.call_id", "cx.crm.operation")
        span.attributes = {
            **span.attributes,
            **{key: text for key in span.attributes if key in taken},
            text[:1000]: text,
            "list": [text, text],
        }
        span.status, span.status_message = 2, text
    call.add(text, text, 10, 20, cx_layer="crm", cx_activity="lookup", cx_owner=text)
    call.add(text, text, 10, 20)
    return call


def logs_of(call: CallMaker, text: str) -> ExportLogsServiceRequest:
    """A record with the text in every place."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = text
    record = group.scope_logs.add().log_records.add(trace_id=bytes.fromhex(call.trace_id), severity_text=text)
    record.time_unix_nano = call.start + 10**9
    record.body.string_value = text
    record.attributes.add(key=text[:1000]).value.string_value = text
    return request


def is_amiss(said: ConsoleMessage) -> bool:
    """A CSP violation or an error, but for a page that is not there."""
    return said.type in ("error", "warning") and "404" not in said.text


@pytest.fixture(scope="module")
def desk() -> Iterator[tuple[Desk, dict[str, CallMaker]]]:
    """A desk with a password and a hostile call of each kind."""
    with Desk(timing=Timing(grace=0.1, settle=0.02), access=Access(password=PASSWORD)) as running:
        calls = {name: hostile_call(name, text) for name, text in HOSTILE.items()}
        for name, call in calls.items():
            for at in range(0, len(call.spans), 2):  # 1 MB in every place is too much for one body
                post(running, to_request(call.spans[at : at + 2]))
            post(running, logs_of(call, HOSTILE[name]), "logs")
            metrics = ExportMetricsServiceRequest()
            metrics.resource_metrics.add().scope_metrics.add().metrics.add(
                name=HOSTILE[name], unit=HOSTILE[name]
            )
            post(running, metrics, "metrics")
        bad = to_request(calls["img"].spans[:1])
        bad.resource_spans[0].scope_spans[0].spans[0].span_id = b"short"
        bad.resource_spans[0].scope_spans[0].spans[0].name = HOSTILE["img"]
        post(running, bad)
        httpx.post(running.http_endpoint + "/v1/traces", headers={"content-type": HOSTILE["img"]})
        for call in calls.values():
            running.wait_for_verdict(call.trace_id)
        running.wait_until_sorted()
        yield running, calls


@pytest.fixture(scope="module")
def page(browser: Browser, desk: tuple[Desk, dict[str, CallMaker]]) -> Iterator[Page]:
    """A reader who logged in; whatever runs, opens or loads is noted in `page.noted`."""
    opened = browser.new_page()
    noted: list[str] = []
    own = urlsplit(desk[0].web_url).netloc
    opened.on("dialog", lambda dialog: (noted.append(dialog.message), dialog.dismiss()))
    opened.on("pageerror", lambda error: noted.append(str(error)))
    opened.on("console", lambda said: noted.append(said.text) if is_amiss(said) else None)
    opened.on("popup", lambda popup: noted.append(popup.url))
    opened.on(
        "request", lambda request: noted.append(request.url) if urlsplit(request.url).netloc != own else None
    )
    opened.goto(desk[0].web_url)
    opened.get_by_label("Password").fill(PASSWORD)
    opened.get_by_role("button", name="Log in").click()
    opened.wait_for_url(desk[0].web_url + "/")
    opened.noted = noted
    yield opened
    opened.context.close()


def look(page: Page, url: str) -> str:
    """Open a page with all that it folds away; its text. Fails if anything but our own ran or was loaded."""
    answer = page.goto(url, wait_until="load")
    assert answer is not None
    assert answer.ok, url
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    found: dict[str, Any] = page.evaluate(
        """(FOREIGN) => ({
          owned: window.owned,
          foreign: document.querySelectorAll(FOREIGN).length,
          handlers: [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes])
            .filter((one) => one.name.startsWith("on") || ["style", "srcdoc"].includes(one.name)).length,
          links: [...document.querySelectorAll("a[href], use, form, [src]")].map((one) =>
            one.href?.baseVal ?? one.href ?? one.action ?? one.src),
          refresh: document.querySelectorAll("body meta").length,
          shown: document.body.checkVisibility() && document.querySelector("h1").checkVisibility(),
        })""",
        "img, iframe, object, embed, base, style, script:not([src])",
    )
    assert found["owned"] is None
    assert (found["foreign"], found["handlers"], found["refresh"]) == (0, 0, 0)
    assert all(one.startswith(("http://127.0.0.1", "/", "#")) for one in found["links"]), found["links"]
    assert found["shown"]
    assert page.noted == []
    text: str = page.locator("body").text_content()
    return text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_call_is_text_on_its_page(
    desk: tuple[Desk, dict[str, CallMaker]], page: Page, name: str
) -> None:
    """Names, keys, values, owners and log bodies can be read as they were written; HTML has no NUL."""
    server, calls = desk
    text = look(page, server.call_url(calls[name].trace_id))
    start = " ".join(HOSTILE[name].replace("\0", "")[:30].split())
    assert start in " ".join(text.split())
    assert page.evaluate("document.title").endswith("cxotel desk")


@pytest.mark.parametrize("path", ["/", "/now", "/received", "/?q=%3Cscript%3Ealert(1)%3C/script%3E"])
def test_lists_of_hostile_calls_are_text(
    desk: tuple[Desk, dict[str, CallMaker]], page: Page, path: str
) -> None:
    """With all of them at once, and with a hostile filter."""
    look(page, desk[0].web_url + path)


def test_what_does_not_exist_is_told_as_text(desk: tuple[Desk, dict[str, CallMaker]], page: Page) -> None:
    """An error page says nothing of the address that runs."""
    answer = page.goto(desk[0].web_url + "/call/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert answer is not None
    assert answer.status == 404
    assert page.evaluate("window.owned") is None
    assert page.noted == []


def test_json_is_no_page(desk: tuple[Desk, dict[str, CallMaker]], page: Page) -> None:
    """A browser that is led to it shows text."""
    server, calls = desk
    for call in (calls["script"], calls["end"]):
        for end in (".json", "/otlp.json"):
            answer = page.goto(server.call_url(call.trace_id) + end)
            assert answer is not None
            assert answer.headers["content-type"] == "application/json"
            assert page.evaluate("window.owned") is None
    assert page.noted == []


def test_the_reader_logs_out_by_a_button(desk: tuple[Desk, dict[str, CallMaker]], browser: Browser) -> None:
    """The forms work as a browser posts them, with its own Origin and cookie."""
    context = browser.new_context()
    reader = context.new_page()
    reader.goto(desk[0].web_url + "/received")
    reader.get_by_label("Password").fill("wrong horse")
    reader.get_by_role("button", name="Log in").click()
    assert "not the password" in reader.get_by_role("alert").inner_text()
    reader.get_by_label("Password").fill(PASSWORD)
    reader.get_by_role("button", name="Log in").click()
    reader.wait_for_url("**/received")
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    reader.get_by_role("button", name="Log out").click()
    reader.wait_for_url("**/login")
    reader.goto(desk[0].web_url)
    assert "/login" in reader.url
    context.close()


def test_a_page_elsewhere_can_neither_send_nor_post(
    desk: tuple[Desk, dict[str, CallMaker]], browser: Browser
) -> None:
    """From another origin, with a simple request and with a form, as far as a browser lets it."""
    server = desk[0]
    context = browser.new_context()
    other = context.new_page()
    with Desk() as elsewhere:  # another port is another origin; any page of it will do
        other.goto(elsewhere.web_url + "/static/icon.svg")
        before = {row[0]: row[1] for row in server.store.rows("counters")}.get("refused.origin", 0)
        context.request.get(server.web_url)
        answers = []
        other.on("response", lambda answer: answers.append((answer.url, answer.status)))
        other.goto("about:blank")
        other.set_content(
            f'<form method="post" action="{server.http_endpoint}/v1/traces" enctype="text/plain">'
            '<input name="a" value="b"><button>Send</button></form>'
        )
        other.get_by_role("button").click()
        other.wait_for_url("**/v1/traces")
        assert answers[-1][1] == 403
        server.store.write(lambda _: None).result()
        after = {row[0]: row[1] for row in server.store.rows("counters")}["refused.origin"]
        assert after == before + 1
    context.close()
