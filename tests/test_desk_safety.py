"""Who may send to a desk and see its pages, and what those who may not, or ask too much, get."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import json
import logging
import re
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from desk_calls import CallMaker, whole_call

from cxotel.desk import access, connections, grpc_server, settings
from cxotel.desk.access import Access, AccessError, Logins, Proxy, Tls, access_from
from cxotel.desk.app import Desk
from cxotel.desk.command import serve
from cxotel.desk.connections import TimedProtocol
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"content-type": "application/x-protobuf"}
TOKEN, NEXT_TOKEN, READ_TOKEN = "t" * 32, "n" * 32, "r" * 32
PASSWORD = "correct horse"
LOCKED = Access(ingest_tokens=(TOKEN, NEXT_TOKEN), read_tokens=(READ_TOKEN,), password=PASSWORD)
HTML = {"accept": "text/html,application/xhtml+xml"}


def reach(url: str) -> str:
    """A desk bound to all addresses, on this machine."""
    return url.replace("0.0.0.0", "127.0.0.1")


def post(desk: Desk, body: bytes = b"", verify: Any = True, **headers: str) -> httpx.Response:
    """One OTLP/HTTP request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = reach(desk.http_endpoint) + "/v1/traces"
    return httpx.post(url, content=body, headers=PROTOBUF | named, verify=verify)


def export(desk: Desk, *metadata: tuple[str, str], body: bytes = b"") -> bytes:
    """One gRPC request in plain text."""
    with grpc.insecure_channel(reach(desk.grpc_endpoint).removeprefix("http://")) as channel:
        answer: bytes = channel.unary_unary(TRACES)(body, timeout=20, metadata=metadata)
        return answer


def code_of(desk: Desk, *metadata: tuple[str, str]) -> grpc.StatusCode:
    """How gRPC answers it."""
    try:
        export(desk, *metadata)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def counter(desk: Desk, name: str) -> int:
    """A number of the page Received, with all that was counted until now."""
    desk.store.write(lambda _: None).result()
    return {row[0]: row[1] for row in desk.store.rows("counters")}.get(name, 0)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """An open desk on a loopback address that lets one origin's pages send."""
    with Desk(access=Access(cors_origins=("https://app.example.org",))) as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[Desk]:
    """A desk that others reach, with tokens and a password."""
    with Desk(host="0.0.0.0", access=LOCKED) as running:
        yield running


# What must be set


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (
            Access(),
            ["CXOTEL_DESK_INGEST_TOKEN", "--tls-client-ca", "CXOTEL_DESK_PASSWORD", "--trusted-proxy"],
        ),
        (Access(ingest_tokens=(TOKEN,)), ["--password-file"]),
        (Access(ingest_tokens=(TOKEN,), read_tokens=(READ_TOKEN,)), ["--password-file"]),
        (Access(password=PASSWORD), ["--ingest-token-file"]),
    ],
)
def test_a_desk_that_others_reach_does_not_start_open(given: Access, missing: list[str]) -> None:
    """The message names what is missing, and only that."""
    for host in ("0.0.0.0", "::", "192.0.2.7", "desk.example.org"):
        with pytest.raises(AccessError) as caught:
            Desk(host=host, access=given).start()
        assert all(name in str(caught.value) for name in missing)
        assert ("INGEST_TOKEN" in str(caught.value)) == (not given.ingest_tokens)


def test_the_command_says_it_in_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    """Exit status 1 and the way out."""
    done = CliRunner().invoke(serve, ["--host", "0.0.0.0", "--db", str(tmp_path / "a.sqlite")])
    assert done.exit_code == 1
    assert re.fullmatch(
        r"Error: 0\.0\.0\.0 can be reached from other machines.*--insecure-open.*\n", done.output
    )
    assert list(tmp_path.iterdir()) == []


def test_open_to_everybody_has_to_be_said() -> None:
    """And then it is."""
    with Desk(host="0.0.0.0", access=Access(insecure_open=True)) as running:
        assert post(running).status_code == 200
        assert httpx.get(reach(running.web_url)).status_code == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ingest_token_file": "{empty}"}, "--ingest-token-file {empty} is empty"),
        ({"read_token_file": "{none}"}, "--read-token-file {none}: No such file"),
        ({"password_file": "{two}"}, "has more than one line"),
        ({"ingest_token_file": "{short}"}, "shorter than 16 characters"),
        ({"password_file": "{short}"}, "password is shorter than 8 characters"),
        ({"trusted_proxy_header": "X-User"}, "go together"),
        ({"trusted_proxy": ["10.0.0.1"]}, "go together"),
        ({"trusted_proxy_header": "X User", "trusted_proxy": ["10.0.0.1"]}, "is no header"),
        ({"trusted_proxy_header": "X-User", "trusted_proxy": ["10.0.0.1/8"]}, "--trusted-proxy: 10.0.0.1/8"),
        ({"tls_cert": "{two}"}, "give both --tls-cert and --tls-key"),
        ({"tls_client_ca": "{two}"}, "give both --tls-cert and --tls-key"),
        ({"tls_cert": "{two}", "tls_key": "{two}"}, "--tls-cert {two} with --tls-key {two}: "),
        ({"tls_cert": "{none}", "tls_key": "{two}"}, "No such file"),
        ({"cors_origin": ["app.example.org"]}, "is no origin"),
        ({"cors_origin": ["https://app.example.org/"]}, "is no origin"),
        ({"cors_origin": ["null"]}, "is no origin"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    """Before anything is opened, with its option, and without what a file holds."""
    texts = {
        "empty": "# nothing\n",
        "two": "first secret of two\nsecond secret of two\n",
        "short": "sesame\n",
    }
    paths = {name: tmp_path / name for name in (*texts, "none")}
    for name, text in texts.items():
        paths[name].write_text(text)
    filled = {k: v.format(**paths) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(AccessError) as caught:
        access_from(**filled).check("127.0.0.1")
    assert says.format(**paths) in str(caught.value)
    assert "secret" not in str(caught.value).replace(str(tmp_path), "")
    assert "sesame" not in str(caught.value)


def test_all_pages_of_the_world_may_send_only_with_a_token() -> None:
    """`*` is for a desk on this machine, or one that asks for a token."""
    wide = {"cors_origins": ("*",), "password": PASSWORD}
    Access(**wide).check("127.0.0.1")
    Access(**wide, ingest_tokens=(TOKEN,)).check("0.0.0.0")
    tls = Access(**wide, tls=Tls("", "", "ca"))
    with pytest.raises(AccessError, match="every page in the world"):
        tls._check_exposed("0.0.0.0")


def test_secrets_come_from_environment_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens from both, so that the next one can be in place before the last one goes."""
    tokens, password = tmp_path / "tokens", tmp_path / "password"
    tokens.write_text(f"# from June on\n{TOKEN}\n\n{NEXT_TOKEN}\n")
    password.write_text(PASSWORD + "\n")
    monkeypatch.setenv("CXOTEL_DESK_INGEST_TOKEN", "a" * 20 + "," + "b" * 20)
    monkeypatch.setenv("CXOTEL_DESK_READ_TOKEN", READ_TOKEN)
    found = access_from(ingest_token_file=str(tokens), password_file=str(password))
    assert found.ingest_tokens == ("a" * 20, "b" * 20, TOKEN, NEXT_TOKEN)
    assert (found.read_tokens, found.password) == ((READ_TOKEN,), PASSWORD)
    monkeypatch.setenv("CXOTEL_DESK_PASSWORD", "from the environment")
    assert access_from().password == "from the environment"
    assert not any(secret in repr(found) for secret in (TOKEN, READ_TOKEN, PASSWORD))


# Who may send


@pytest.mark.parametrize(
    ("authorization", "allowed"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {NEXT_TOKEN}", True),
        ("", False),
        ("Bearer " + "x" * 32, False),
        (f"Bearer {TOKEN}x", False),
        (f"Basic {TOKEN}", False),
        (f"Bearer {READ_TOKEN}", False),
        (TOKEN, False),
    ],
)
def test_senders_bear_a_token(locked: Desk, authorization: str, allowed: bool) -> None:
    """One of those that are set, over HTTP and gRPC alike; the rest is counted."""
    before = counter(locked, "refused.token")
    answer = post(locked, authorization=authorization)
    assert answer.status_code == (200 if allowed else 401)
    code = code_of(locked, ("authorization", authorization))
    assert code == (grpc.StatusCode.OK if allowed else grpc.StatusCode.UNAUTHENTICATED)
    if not allowed:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert counter(locked, "refused.token") == before + 2


def test_an_exporter_of_opentelemetry_sends_its_token_from_the_environment(locked: Desk) -> None:
    """OTEL_EXPORTER_OTLP_HEADERS is all that a sender sets."""
    program = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
import sys
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Grpc(endpoint=sys.argv[1], insecure=True)))
provider.add_span_processor(BatchSpanProcessor(Http(endpoint=sys.argv[2] + "/v1/traces")))
provider.get_tracer("t").start_span("one").end()
provider.shutdown()
"""
    locked.wait_until_sorted()
    before = counter(locked, "received.spans") + counter(locked, "repeated.spans")
    subprocess.run(
        [sys.executable, "-c", program, reach(locked.grpc_endpoint), reach(locked.http_endpoint)],
        env={"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}", "PYTHONPATH": sys.path[0]},
        check=True,
        timeout=60,
    )
    locked.wait_until_sorted()
    assert counter(locked, "received.spans") + counter(locked, "repeated.spans") == before + 2


# Browsers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://app.example.org"}, 200),
        ({"origin": "https://app.example.org", "sec-fetch-site": "cross-site"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://app.example.org"}, 403),
        ({"origin": "https://app.example.org:8443"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8317", "sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({}, 200),
    ],
)
def test_a_page_sends_only_if_its_origin_is_listed(desk: Desk, headers: dict[str, str], status: int) -> None:
    """Exactly; the answer names it, so that the page can read it. Programs send no Origin."""
    before = counter(desk, "refused.origin")
    answer = post(desk, **headers)
    assert answer.status_code == status
    listed = headers.get("origin") if status == 200 else None
    assert answer.headers.get("access-control-allow-origin") == listed
    assert counter(desk, "refused.origin") == before + (status == 403)


def preflight(desk: Desk, origin: str, **asked: str) -> httpx.Response:
    """What a browser asks before it sends."""
    headers = {"origin": origin, "access-control-request-method": "POST"}
    headers |= {f"access-control-request-{name}": value for name, value in asked.items()}
    return httpx.request("OPTIONS", desk.http_endpoint + "/v1/traces", headers=headers)


def test_a_listed_page_is_told_that_it_may_send(desk: Desk) -> None:
    """The preflight of the JavaScript exporter, and of one with a token and headers of its own."""
    asked = "authorization, content-encoding,content-type,traceparent,x-tenant"
    answer = preflight(desk, "https://app.example.org", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert set(answer.headers["access-control-allow-headers"].split(", ")) == set(re.split(", ?", asked))
    assert "access-control-allow-credentials" not in answer.headers


def test_other_pages_methods_and_headers_are_told_nothing(desk: Desk) -> None:
    """No header that allows."""
    for answer in (
        preflight(desk, "https://evil.example", headers="content-type"),
        preflight(desk, "null", headers="content-type"),
        preflight(desk, "https://app.example.org", headers="cookie"),
        preflight(desk, "https://app.example.org", method="DELETE"),
    ):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize(
    "host", ["localhost:/health?", "[::1]/health?", "localhost/static/#", "x/static/?", "a b", "u@localhost"]
)
def test_a_host_with_a_path_in_it_opens_nothing(locked: Desk, host: str) -> None:
    """What an address made of Host would say of the path is not believed."""
    for path in ("/calls.json", "/now.json", "/received"):
        assert httpx.get(locked.web_url + path, headers={"host": host}).status_code == 400


def test_a_name_that_resolves_to_us_is_not_enough(desk: Desk) -> None:
    """DNS rebinding, on all HTTP ports and for preflights too."""
    for url in (desk.http_endpoint + "/v1/traces", desk.web_url, desk.web_url + "/api/calls"):
        for method in ("GET", "POST", "OPTIONS"):
            headers = {"host": "evil.example:8317", "origin": "http://evil.example:8317"}
            assert httpx.request(method, url, headers=headers | PROTOBUF).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "{own}"}, 200),
        ({"origin": "{own}", "sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "{own}", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://app.example.org"}, 403),
    ],
)
def test_forms_are_posted_by_our_own_pages_only(desk: Desk, headers: dict[str, str], status: int) -> None:
    """Origins that may send spans may not post forms; one without a token is refused as well."""
    filled = {name: value.format(own=desk.web_url) for name, value in headers.items()}
    token = {"form_token": "none"}
    answer = httpx.post(desk.web_url + "/received", data=token, headers=filled)
    assert answer.status_code == 403
    assert ("form" in answer.text) == (status == 200)
    assert answer.headers["content-security-policy"]


def test_every_answer_of_the_pages_has_the_security_headers(desk: Desk, locked: Desk) -> None:
    """Refusals and files too."""
    for url in (
        desk.web_url,
        desk.web_url + "/static/desk.css",
        desk.web_url + "/call/nothing",
        reach(locked.web_url),
        reach(locked.web_url) + "/login",
    ):
        headers = httpx.get(url, headers=HTML).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "camera=()" in headers["permissions-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


# Who may read


def token_of(page: httpx.Response) -> str:
    """Of the form on a page."""
    return re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)[1]


def log_in(client: httpx.Client, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Fill in the login form."""
    data = {"form_token": token_of(client.get("/login")), "password": password} | fields
    return client.post("/login", data=data)


def test_a_reader_logs_in_reads_and_logs_out(locked: Desk) -> None:
    """On to the page that was asked for; after the logout the cookie is worth nothing."""
    with httpx.Client(base_url=reach(locked.web_url), headers=HTML) as client:
        asked = client.get("/call/abc?x=1&y=2")
        assert asked.status_code == 303
        target = httpx.URL(asked.headers["location"])
        assert (target.path, target.params["next"]) == ("/login", "/call/abc?x=1&y=2")
        done = log_in(client, next=target.params["next"])
        assert (done.status_code, done.headers["location"]) == (303, "/call/abc?x=1&y=2")
        cookie = done.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        page = client.get("/")
        assert page.status_code == 200
        kept = dict(client.cookies)
        assert client.post("/logout", data={"form_token": "0" * 64}).status_code == 403
        assert client.get("/").status_code == 200
        assert client.post("/logout", data={"form_token": token_of(page)}).status_code == 303
        assert client.get("/").status_code == 303
        assert httpx.get(reach(locked.web_url), headers=HTML, cookies=kept).status_code == 303


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nx: y", ""]
)
def test_the_login_leads_to_no_other_site(locked: Desk, path: str) -> None:
    """An address that a stranger made up ends on the list of calls."""
    with httpx.Client(base_url=reach(locked.web_url), headers=HTML) as client:
        assert log_in(client, next=path).headers["location"] == "/"


def test_a_login_form_of_another_site_is_refused(locked: Desk) -> None:
    """With the right password too: a browser could be logged in without its reader's doing."""
    with httpx.Client(base_url=reach(locked.web_url)) as client:
        assert client.post("/login", data={"password": PASSWORD}).status_code == 403
        token = token_of(client.get("/login"))
        headers = {"origin": "https://evil.example"}
        data = {"password": PASSWORD, "form_token": token}
        assert client.post("/login", data=data, headers=headers).status_code == 403
        assert client.post("/login", content=b"x" * 70_000).status_code == 403
        assert not client.cookies


@pytest.mark.parametrize("path", ["/", "/received", "/call/" + "a" * 32, "/api/calls", "/events", "/nothing"])
def test_nothing_is_read_without_a_login(locked: Desk, path: str) -> None:
    """Browsers get the form, programs 401; a session that was made up is none."""
    url = reach(locked.web_url) + path
    cookies = {"cxotel_desk": "made-up"}
    assert httpx.get(url, headers=HTML, cookies=cookies).status_code == (303 if "api" not in path else 401)
    answer = httpx.get(url, cookies=cookies)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.get(url, headers={"authorization": "Bearer " + "x" * 32}).status_code == 401
    assert httpx.get(url, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 401


def test_a_program_reads_with_a_token(locked: Desk) -> None:
    """Pages and JSON; what everybody may know needs none."""
    bearing = {"authorization": f"Bearer {READ_TOKEN}"}
    for path in ("/", "/api/calls", "/received"):
        assert httpx.get(reach(locked.web_url) + path, headers=bearing).status_code == 200
    for path in ("/health", "/ready", "/static/desk.css", "/login"):
        assert httpx.get(reach(locked.web_url) + path).status_code != 401


def test_wrong_passwords_are_slowed_down_by_address() -> None:
    """Three slips cost nothing, then the wait doubles up to five minutes; others log in meanwhile."""
    now = [1000.0]
    logins = Logins(PASSWORD, lambda: now[0])
    waits = []
    for _ in range(14):
        assert logins.open("wrong", "2001:db8::1") is None
        waits.append(logins.wait("2001:db8::ffff"))
        now[0] += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert logins.wait("192.0.2.1") == 0
    assert logins.open(PASSWORD, "192.0.2.1")
    assert logins.open(PASSWORD, "2001:db8::1")
    assert logins.wait("2001:db8::1") == 0


def test_logins_take_no_more_memory_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest session and the address that was quiet longest go first; a session ends with the day."""
    monkeypatch.setattr(access, "MOST_SESSIONS", 2)
    monkeypatch.setattr(access, "MOST_ADDRESSES", 2)
    now = [0.0]
    logins = Logins(PASSWORD, lambda: now[0])
    sessions = [str(logins.open(PASSWORD, "a")) for _ in range(3)]
    assert [logins.is_open(one) for one in sessions] == [False, True, True]
    now[0] = access.SESSION_SECONDS
    assert not logins.is_open(sessions[2])
    for address in ("a", "b", "c"):
        logins.open("wrong", address)
    assert list(logins._wrong) == ["b", "c"]


def test_a_slowed_down_address_is_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with Retry-After, for the right password too."""
    with Desk(access=Access(password=PASSWORD)) as running, httpx.Client(base_url=running.web_url) as client:
        monkeypatch.setattr(access, "FREE_ATTEMPTS", 1)
        assert log_in(client, "wrong one").status_code == 403
        monkeypatch.setattr(access, "FREE_ATTEMPTS", -8)
        answer = log_in(client)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 300


@pytest.mark.parametrize(
    ("network", "headers", "status"),
    [
        ("127.0.0.0/8", {"x-forwarded-user": "ada"}, 200),
        ("127.0.0.0/8", {}, 401),
        ("127.0.0.0/8", {"x-forwarded-user": ""}, 401),
        ("10.0.0.7", {"x-forwarded-user": "ada"}, 403),
        ("10.0.0.7", {"x-forwarded-user": "ada", "x-forwarded-for": "10.0.0.7"}, 403),
        ("10.0.0.7", {}, 401),
    ],
)
def test_a_proxy_names_readers_if_it_is_the_proxy(network: str, headers: dict[str, str], status: int) -> None:
    """The connection's address counts, not what a header says of it."""
    proxy = Proxy("x-forwarded-user", (ipaddress.ip_network(network),))
    allowed = Access(ingest_tokens=(TOKEN,), proxy=proxy)
    with Desk(host="0.0.0.0", access=allowed) as running:
        answer = httpx.get(reach(running.web_url), headers=HTML | headers)
        assert answer.status_code == status


def test_an_ipv4_proxy_is_known_on_an_ipv6_socket() -> None:
    """`::ffff:10.0.0.7` is 10.0.0.7; a path instead of an address is nobody."""
    proxy = Proxy("x", (ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("2001:db8::/32")))
    assert [proxy.is_from(one) for one in ("::ffff:10.0.0.7", "10.0.0.7", "2001:db8::1", "10.0.1.7", "")] == [
        True,
        True,
        True,
        False,
        False,
    ]


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server's certificate for 127.0.0.1, a client's, and one of another CA."""
    folder = tmp_path_factory.mktemp("certificates")
    for ca, leaves in (("ca", ("server", "client")), ("other", ("stranger",))):
        authority = issue(folder, ca)
        for leaf in leaves:
            issue(folder, leaf, authority)
    return folder


def issue(folder: Path, name: str, issuer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """Write <name>.pem and <name>.key; without an issuer it is a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signing_key = issuer or (None, key)
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    if signer is None:
        signs = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ) | {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}
        builder = builder.add_extension(
            x509.KeyUsage(**signs, encipher_only=False, decipher_only=False), critical=True
        )
    else:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    certificate = builder.sign(signing_key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, key


def context(folder: Path, name: str = "") -> ssl.SSLContext:
    """A client's, with a certificate of its own."""
    made = ssl.create_default_context(cafile=folder / "ca.pem")
    if name:
        made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


def export_tls(desk: Desk, folder: Path, name: str = "") -> grpc.StatusCode:
    """One gRPC request over TLS."""
    pair = [(folder / f"{name}.{end}").read_bytes() for end in ("key", "pem")] if name else [None, None]
    credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), *pair)
    with grpc.secure_channel(reach(desk.grpc_endpoint).removeprefix("https://"), credentials) as channel:
        try:
            channel.unary_unary(TRACES)(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def test_senders_with_a_certificate_and_readers_with_a_password_over_tls(certificates: Path) -> None:
    """No token is needed; without a certificate, or with one of another CA, nobody sends."""
    tls = Tls(*(str(certificates / one) for one in ("server.pem", "server.key", "ca.pem")))
    allowed = Access(tls=tls, password=PASSWORD)
    with Desk(host="0.0.0.0", access=allowed) as running:
        assert post(running, verify=context(certificates, "client")).status_code == 200
        assert export_tls(running, certificates, "client") == grpc.StatusCode.OK
        for name in ("", "stranger"):
            with pytest.raises(httpx.TransportError):
                post(running, verify=context(certificates, name))
            assert export_tls(running, certificates, name) == grpc.StatusCode.UNAVAILABLE
        with pytest.raises(httpx.TransportError):
            httpx.get(reach(running.http_endpoint).replace("https", "http"))
        url = reach(running.web_url)
        assert url.startswith("https://")
        with httpx.Client(base_url=url, verify=context(certificates), headers=HTML) as client:
            cookie = log_in(client).headers["set-cookie"]
            assert cookie.startswith("__Host-")
            assert "Secure" in cookie.split("; ")
            assert client.get("/").status_code == 200


# Too much, too slow


def received(sock: socket.socket) -> bytes:
    """All until the other side closes."""
    sock.settimeout(10)
    found = b""
    try:
        while part := sock.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def connect(url: str) -> socket.socket:
    """A raw connection."""
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)


HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, HEAD + b"Content-Length: 9\r\n\r\n1234"])
def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Whether it stops before, in or after its head; on both ports."""
    monkeypatch.setattr(TimedProtocol, "head_seconds", 0.2)
    monkeypatch.setattr(TimedProtocol, "body_seconds", 0.2)
    with Desk() as running:
        for url in (running.http_endpoint, running.web_url):
            with connect(url) as sock:
                sock.sendall(sent)
                received(sock)
        assert post(running).status_code == 200


def test_a_head_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte in time does not help: the head as a whole has its time, also a connection's second."""
    monkeypatch.setattr(TimedProtocol, "head_seconds", 0.3)
    with Desk() as running, connect(running.http_endpoint) as sock:
        sock.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert b" 200 " in sock.recv(65536)
        stop = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not stop.wait(0.02):
                    sock.sendall(b"X")

        thread = threading.Thread(target=drip)
        thread.start()
        received(sock)
        stop.set()
        thread.join()


def test_a_slow_but_steady_body_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head's time is over once it is whole."""
    monkeypatch.setattr(TimedProtocol, "head_seconds", 0.1)
    with Desk() as running, connect(running.http_endpoint) as sock:
        sock.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
        threading.Event().wait(0.3)
        sock.sendall(b"\n\x00")
        assert b" 200 " in sock.recv(65536)


def test_connections_that_only_wait_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are opened, whoever sends a request is answered."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 8)
    with Desk() as running:
        idle = [connect(running.http_endpoint) for _ in range(40)]
        try:
            assert post(running).status_code == 200
            assert len(running._web._servers[0].server_state.connections) <= 9
        finally:
            for sock in idle:
                sock.close()


def test_a_reader_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody takes is not held for ever."""
    monkeypatch.setattr(TimedProtocol, "write_seconds", 0.2)
    over = threading.Event()
    original = TimedProtocol.connection_lost

    def connection_lost(self: TimedProtocol, exc: Exception | None) -> None:
        original(self, exc)
        over.set()

    monkeypatch.setattr(TimedProtocol, "connection_lost", connection_lost)
    with Desk() as running, connect(running.web_url) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /static/desk.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
        sock.settimeout(1)
        with suppress(OSError):
            while not over.is_set():  # until all buffers between us are full
                sock.sendall(request * 50)
        assert over.wait(10)


def test_a_grpc_request_without_its_message_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of them as there are threads do not keep others out."""
    monkeypatch.setattr(grpc_server, "MESSAGE_SECONDS", 0.3)
    release = threading.Event()

    def nothing() -> Iterator[bytes]:
        release.wait(20)
        yield from ()

    with Desk() as running:
        address = running.grpc_endpoint.removeprefix("http://")
        with grpc.insecure_channel(address) as channel:
            slow = [channel.stream_unary(TRACES).future(nothing()) for _ in range(grpc_server.THREADS)]
            assert export(running) == b""
            assert {one.code() for one in slow} == {grpc.StatusCode.CANCELLED}
            release.set()
            with pytest.raises(grpc.RpcError) as caught:
                channel.stream_unary(TRACES)(iter(()), timeout=10)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_grpc_takes_no_more_connections_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over is closed at once; when others go, there is room again."""
    limits = dict(grpc_server.LIMITS) | {"grpc.max_allowed_incoming_connections": 4}
    monkeypatch.setattr(grpc_server, "LIMITS", list(limits.items()))
    opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    with Desk() as running:
        held = []
        for _ in range(4):
            held.append(connect(running.grpc_endpoint))
            held[-1].sendall(opening)
            assert held[-1].recv(9)[3] == 4  # SETTINGS: it is taken
        with connect(running.grpc_endpoint) as more:
            with suppress(OSError):
                more.sendall(opening)
            assert received(more) == b""
        for sock in held:
            sock.close()
        with grpc.insecure_channel(running.grpc_endpoint.removeprefix("http://")) as channel:
            assert channel.unary_unary(TRACES)(b"", timeout=20, wait_for_ready=True) == b""


def test_a_grpc_message_that_unzips_to_a_quarter_gigabyte_is_refused_before_it_does(tmp_path: Path) -> None:
    """In a process of its own, whose peak memory shows that it never held it."""
    program = (
        "import sys\nfrom cxotel.desk.app import Desk\n"
        "with Desk() as desk:\n    print(desk.grpc_endpoint, flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(access.__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    inflating = zlib.compress(bytes(2**28), 1)

    def peak() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    try:
        address = process.stdout.readline().strip().removeprefix("http://")
        before = peak()
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(address, options) as channel:
            for body, compression in ((bytes(2**28), grpc.Compression.Gzip), (inflating, None)):
                with pytest.raises(grpc.RpcError) as caught:
                    channel.unary_unary(TRACES)(body, timeout=60, compression=compression)
                assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert peak() - before < 128 * 1024
    finally:
        process.communicate("", timeout=20)


@pytest.mark.parametrize("compression", list(grpc.Compression))
def test_a_zipped_grpc_message_is_taken(desk: Desk, compression: grpc.Compression) -> None:
    """As exporters send it with OTEL_EXPORTER_OTLP_COMPRESSION; and one that is cut off is told so."""
    call = whole_call(f"zipped {compression}")
    with grpc.insecure_channel(desk.grpc_endpoint.removeprefix("http://")) as channel:
        body = to_request(call.spans).SerializeToString()
        assert channel.unary_unary(TRACES)(body, timeout=20, compression=compression) == b""
        for broken in (gzip.compress(body)[:-9], zlib.compress(body)[:-9], b"\x78", b"\x1f"):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(TRACES)(broken, timeout=20)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    desk.wait_for_verdict(call.trace_id)


def test_a_zipped_body_that_never_ends_is_refused(desk: Desk) -> None:
    """200 kB that unzip to 200 MB."""
    answer = post(desk, gzip.compress(bytes(200 * 2**20)), content_encoding="gzip")
    assert answer.status_code == 413


def test_a_call_that_is_full_takes_no_more_spans_and_its_root_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is beyond is counted and said; what is known is known; other calls go on."""
    monkeypatch.setattr(settings, "MAX_SPANS_PER_CALL", 30)
    call, other = CallMaker("wild"), whole_call("tame")
    for number in range(50):
        call.add(f"wild {number}", "loop", number, number + 1, cx_layer="crm", cx_activity="lookup")
    with Desk(timing=Timing(grace=0.1, settle=0.02)) as running:
        for _ in range(2):
            assert post(running, to_request(call.spans[:30]).SerializeToString()).status_code == 200
        assert post(running, to_request(call.spans[30:]).SerializeToString()).status_code == 200
        call.root(60)
        assert (
            post(running, to_request([*call.spans[50:], *other.spans]).SerializeToString()).status_code == 200
        )
        verdict = running.wait_for_verdict(call.trace_id)
        running.wait_for_verdict(other.trace_id)
        assert verdict["refused"] == 20
        counted = [counter(running, name) for name in ("refused.call_full", "repeated.spans")]
        assert counted == [20, 30]
        page = httpx.get(running.call_url(call.trace_id)).text
        assert "20 spans of this call" in page


def test_no_secret_is_written_down(caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log at any level, a counter's note, nor an answer; not right nor wrong ones."""
    caplog.set_level(logging.DEBUG)
    wrong = "w" * 40
    with Desk(host="0.0.0.0", access=LOCKED) as running:
        seen = [post(running, authorization=f"Bearer {wrong}").text]
        code_of(running, ("authorization", f"Bearer {wrong}"))
        code_of(running, ("authorization", f"Bearer {TOKEN}"))
        with httpx.Client(base_url=reach(running.web_url), headers=HTML) as client:
            seen.append(log_in(client, wrong).text)
            session = log_in(client).headers["set-cookie"].partition("=")[2].partition(";")[0]
            seen.append(client.get("/received").text)
        seen.append(json.dumps(running.store.rows("counters")))
        seen += [str(record.__dict__) for record in caplog.records if not record.name.startswith("http")]
    for text in seen:
        for secret in (TOKEN, NEXT_TOKEN, READ_TOKEN, PASSWORD, wrong, session):
            assert secret not in text
