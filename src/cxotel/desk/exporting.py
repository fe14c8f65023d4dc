"""Where a program's OTLP exporter would send to, by its environment, and whether anybody there takes it."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import grpc

from cxotel.desk.findings import OK, PROBLEM, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECONDS = 3.0
GENERAL, OF_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PATH = "/v1/traces"
# What OpenTelemetry's exporters take, also where a value is not URL-encoded.
HEADER = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ \t]*[ !#-+\--:<-\[\]-~]*")
# Taken, and what is answered to who has no right token: it is an OTLP receiver in any case.
TAKEN, UNKNOWN_SENDER = (
    (grpc.StatusCode.OK,),
    (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED),
)


@dataclass(frozen=True)
class Target:
    """An endpoint as configured: the variable that says so, and its parts."""

    variable: str
    text: str
    is_http: bool
    scheme: str
    host: str
    port: int
    path: str


def check(environment: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the exporter that the variables describe; a fault hides what follows from it."""
    return list(_check(environment))


def _check(environment: Mapping[str, str]) -> Iterator[Finding]:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding("exporter", PROBLEM, "OTEL_SDK_DISABLED is true: nothing is recorded", "unset it")
        return
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp")
    if "otlp" not in exporter:
        yield Finding(
            "exporter",
            PROBLEM,
            f"OTEL_TRACES_EXPORTER is {exporter!r}: no span is sent",
            "unset it, or say otlp",
        )
        return
    sampler = environment.get("OTEL_TRACES_SAMPLER", "")
    if sampler not in ("", "always_on", "parentbased_always_on"):
        yield Finding(
            "sampler",
            PROBLEM,
            f"OTEL_TRACES_SAMPLER is {sampler!r}: calls lose spans or are not recorded",
            "unset it: cxotel keeps every call",
        )
    misread = misread_headers(environment, "TRACES")
    for name in misread:
        yield Finding("exporter", PROBLEM, f"{name} is not name=value,name=value", "write it so")
    if misread:
        return
    target = _target(environment)
    if isinstance(target, Finding):
        yield target
        return
    wrong = _unreachable(target) or _wrong_scheme(target) or _wrong_protocol(target, environment)
    yield wrong or Finding(
        "exporter", OK, f"{target.variable} {target.text}: an OTLP receiver takes spans there"
    )


def _target(environment: Mapping[str, str]) -> Target | Finding:
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get(PROTOCOL) or "grpc"
    if protocol not in ("grpc", "http/protobuf", "http/json"):
        return Finding("exporter", PROBLEM, f"{PROTOCOL} is {protocol!r}", "say grpc or http/protobuf")
    is_http = protocol != "grpc"
    variable = OF_TRACES if environment.get(OF_TRACES) else GENERAL
    text = environment.get(variable) or f"http://localhost:{4318 if is_http else 4317}"
    shown = masked(text)
    said = f"{variable} is {shown!r}"
    try:
        parts = urlsplit(text)
    except ValueError:
        return Finding("exporter", PROBLEM, f"{said}: it is no address", "say http://host:port")
    if parts.scheme not in ("http", "https") or "//" not in text:
        host = shown if "://" not in shown else shown.partition("://")[2]
        return Finding("exporter", PROBLEM, f"{said}: without http:// it is misread", f"say http://{host}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return Finding("exporter", PROBLEM, f"{said}: its port is no number", "say http://host:port")
    if not parts.hostname:
        return Finding("exporter", PROBLEM, f"{said}: it names no host", "say http://host:port")
    path = parts.path.rstrip("/")
    bare = masked(f"{parts.scheme}://{parts.netloc}")
    if path and not is_http:
        return Finding("exporter", PROBLEM, f"{said}: gRPC has no path", f"say {bare}")
    if is_http and variable == GENERAL and path.endswith(PATH):
        return Finding(
            "exporter",
            PROBLEM,
            f"{said}: the exporter adds {PATH} itself",
            f"say {bare}{path.removesuffix(PATH)}",
        )
    if is_http and variable == OF_TRACES and not path:
        return Finding(
            "exporter", PROBLEM, f"{said}: for one signal the address is used as it is", f"say {bare}{PATH}"
        )
    full = path if variable == OF_TRACES else path + PATH
    return Target(variable, shown, is_http, parts.scheme, parts.hostname, port, full)


def masked(address: str) -> str:
    """An address without the user and password that it may have."""
    head, at, tail = address.rpartition("@")
    scheme, found, _ = head.partition("://")
    return f"{scheme if found else ''}{found}***@{tail}" if at else address


def _unreachable(target: Target) -> Finding | None:
    said = f"{target.variable} {target.text}: "
    try:
        socket.create_connection((target.host, target.port), SECONDS).close()
    except socket.gaierror as error:
        return Finding(
            "exporter", PROBLEM, f"{said}no such host ({error.strerror})", "correct the host's name"
        )
    except OSError as error:
        why = error.strerror or "no answer in time"
        fix = "start the desk there (`cxotel serve`), or point the exporter to where it is"
        return Finding("exporter", PROBLEM, f"{said}cannot connect ({why})", fix)
    return None


def _wrong_scheme(target: Target) -> Finding | None:
    has_tls = _has_tls(target)
    if has_tls == (target.scheme == "https"):
        return None
    said = f"{target.variable} {target.text}: the port there has {'' if has_tls else 'no '}TLS"
    other = "https" if has_tls else "http"
    return Finding("exporter", PROBLEM, said, f"say {other}{target.text.removeprefix(target.scheme)}")


def _has_tls(target: Target) -> bool:
    """Whether a port answers a TLS handshake, whoever signed its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((target.host, target.port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=target.host),
        ):
            return True
    except ssl.SSLError as error:
        # An alert comes from who speaks TLS, such as one that wants a certificate of ours.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _wrong_protocol(target: Target, environment: Mapping[str, str]) -> Finding | None:
    said = f"{target.variable} {target.text}: "
    headers = _headers(environment)
    http_says, grpc_says = _http(target, headers, environment), None
    if not target.is_http or http_says != http.client.OK:
        grpc_says = _grpc(target, headers, environment)
    if target.is_http:
        if http_says == http.client.OK:
            return None
        if grpc_says in TAKEN + UNKNOWN_SENDER:
            return Finding(
                "exporter",
                PROBLEM,
                f"{said}that port speaks OTLP/gRPC",
                f"set {PROTOCOL}=grpc, or use port 4318",
            )
        refused = http_says == http.client.UNAUTHORIZED
        answer = f"HTTP {http_says}" if http_says else "no HTTP"
    else:
        if grpc_says in TAKEN:
            return None
        if http_says in (http.client.OK, http.client.UNAUTHORIZED):
            fix = f"set {PROTOCOL}=http/protobuf, or use port 4317"
            return Finding("exporter", PROBLEM, f"{said}that port speaks OTLP/HTTP", fix)
        refused = grpc_says in UNKNOWN_SENDER
        answer = f"gRPC {grpc_says.name}" if grpc_says is not None else "no gRPC"
    if refused:
        fix = 'set OTEL_EXPORTER_OTLP_HEADERS to "authorization=Bearer%20TOKEN" with the desk\'s ingest token'
        return Finding("exporter", PROBLEM, f"{said}the sender is not let in ({answer})", fix)
    fix = "that is no OTLP receiver, or its path is another: the desk has 4317 for gRPC and 4318 for HTTP"
    return Finding("exporter", PROBLEM, f"{said}spans are not taken ({answer})", fix)


def _headers(environment: Mapping[str, str]) -> dict[str, str]:
    text = environment.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environment.get(
        "OTEL_EXPORTER_OTLP_HEADERS", ""
    )
    pairs = (one.partition("=") for one in text.split(",") if "=" in one)
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs}


def misread_headers(environment: Mapping[str, str], signal: str) -> list[str]:
    """Variables of headers that are not name=value,name=value."""
    names = ("OTEL_EXPORTER_OTLP_HEADERS", f"OTEL_EXPORTER_OTLP_{signal}_HEADERS")
    pieces = ((name, one.strip()) for name in names for one in environment.get(name, "").split(","))
    return sorted({name for name, one in pieces if one and not HEADER.fullmatch(one)})


def _certificate(environment: Mapping[str, str]) -> str | None:
    return environment.get("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE") or environment.get(
        "OTEL_EXPORTER_OTLP_CERTIFICATE"
    )


def _http(target: Target, headers: Mapping[str, str], environment: Mapping[str, str]) -> int:
    """Status of an empty request over OTLP/HTTP, 0 if there is no HTTP/1.1."""
    connection: http.client.HTTPConnection
    if target.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=_certificate(environment))
        except OSError:
            return 0
        connection = http.client.HTTPSConnection(target.host, target.port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=SECONDS)
    try:
        path = target.path or PATH
        connection.request("POST", path, b"", {**headers, "content-type": "application/x-protobuf"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError):
        return 0
    finally:
        connection.close()


def _grpc(target: Target, headers: Mapping[str, str], environment: Mapping[str, str]) -> Any:
    """Status of an empty request over OTLP/gRPC, UNAVAILABLE if there is no gRPC."""
    address = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    if target.scheme == "https":
        file = _certificate(environment)
        try:
            roots = Path(file).read_bytes() if file else None
        except OSError:
            return grpc.StatusCode.UNAVAILABLE
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))
    else:
        channel = grpc.insecure_channel(address)
    try:
        channel.unary_unary(EXPORT)(b"", timeout=SECONDS, metadata=tuple(headers.items()))
    except grpc.RpcError as error:
        return error.code()
    finally:
        channel.close()
    return grpc.StatusCode.OK


def holder_of(port: int) -> str:
    """What listens on a port of this machine, as `name (process 123)`; "" if /proc does not tell."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: listening
                inodes.add(f"socket:[{fields[9]}]")
    processes = Path("/proc").glob("[0-9]*") if inodes else ()
    return next((name for name in (_name_if(one, inodes) for one in processes) if name), "")


def _name_if(process: Path, inodes: set[str]) -> str:
    """A process's name, if it has one of the sockets."""
    try:
        if any(str(one.readlink()) in inodes for one in (process / "fd").iterdir()):
            name = (process / "comm").read_text(encoding="utf-8").strip()
            return f"{name} (process {process.name})"
    except OSError:
        pass  # another user's, or it has ended
    return ""


def is_local(host: str) -> bool:
    """Whether a host is this machine, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", socket.gethostname())
