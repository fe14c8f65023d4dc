"""Where things are handed on to: addresses, headers and certificates, as people write them.

grpc://host[:4317]   grpcs://host[:4317]          OTLP/gRPC, plain and with TLS
http://host[:port][/path]   https://...           OTLP/HTTP; /v1/traces and so on is appended
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cxotel.desk.access import is_loopback
from cxotel.desk.addresses import GRPC_PORT, is_own
from cxotel.desk.wire import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterable

# Where an address has none: OTLP's own for gRPC, the web's for HTTP.
DEFAULT_PORTS = {"grpc": GRPC_PORT, "grpcs": GRPC_PORT, "http": 80, "https": 443}
FORMS = "write grpc://host:4317, grpcs://host:4317, http://host:4318 or https://host"
_HEADERS = "CXOTEL_FORWARD_HEADERS"
# What gRPC takes as a name (gRPC over HTTP/2, "Custom-Metadata"); HTTP has a few more that nobody uses.
_HEADER_NAME = re.compile(r"[a-z0-9_.-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_ADDRESS = re.compile(r"(grpcs?|https?)://\S+", re.IGNORECASE)
# These are the transport's own.
_RESERVED = {"connection", "content-encoding", "content-length", "content-type", "host", "te"} | {
    "transfer-encoding",
    "user-agent",
}


class DestinationError(ValueError):
    """What was given cannot be handed on to; the text says why and what to do, and has no secret in it."""


@dataclass(frozen=True)
class Destination:
    """One backend.

    Attributes:
        scheme: grpc, grpcs, http or https.
        host: name or address, IPv6 without brackets.
        port: TCP port.
        path: before /v1/<signal>, without / at its end.
        headers: sent with each request; not in its repr.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def authority(self) -> str:
        """Host and port as in an address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """Its address, for people and as key in the file."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_grpc(self) -> bool:
        """Whether OTLP/gRPC is spoken."""
        return self.scheme.startswith("grpc")

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken through TLS."""
        return self.scheme in ("grpcs", "https")


def read_destinations(texts: Iterable[str], headers: str = "") -> tuple[Destination, ...]:
    """The backends of --forward, each once.

    Args:
        texts: addresses, several in one text separated by spaces or commas.
        headers: lines `[address] name=value,name=value`, as CXOTEL_FORWARD_HEADERS has them.

    Raises:
        DestinationError: one cannot be read.
    """
    found = {one.name: one for text in texts for one in map(_destination, re.split(r"[\s,]+", text)) if one}
    for name, pairs in _headers(headers):
        if name and name not in found:
            raise DestinationError(f"{_HEADERS} has headers for {name}, which --forward does not name")
        if not name and len(found) > 1:
            # One backend's key is nothing that the others may see.
            raise DestinationError(
                f"{_HEADERS} does not say for which of {len(found)} destinations it is: "
                "put the address and a space before the headers, one destination a line"
            )
        for known in [name] if name else list(found):
            found[known] = replace(found[known], headers=found[known].headers + pairs)
    return tuple(found.values())


def refuse_own(destinations: Iterable[Destination], host: str, ports: set[int]) -> None:
    """Refuse a backend that is the desk itself: what it was sent would come back to it.

    Args:
        destinations: the backends.
        host: where the desk listens.
        ports: all that it listens on.

    Raises:
        DestinationError: one of them is on this machine, at one of these ports.
    """
    for one in destinations:
        # Another loopback address at such a port is hardly meant, and would be a riddle in every log.
        if is_own(one.name, host, ports) or (one.port in ports and is_loopback(one.host)):
            raise DestinationError(
                f"--forward {one.name} is this desk itself: give the address of another backend "
                "(OTEL_EXPORTER_OTLP_ENDPOINT mostly points at the desk)"
            )


def _destination(text: str) -> Destination | None:
    if not text:
        return None
    shown = re.sub(r"//[^/]*@|[?#].*", lambda m: "//" if m[0].startswith("//") else "", text)
    where = f"--forward {shown[:200]!r}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise DestinationError(f"{where} is no address ({error}): {FORMS}") from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise DestinationError(f"{where} is no address of a backend: {FORMS}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise DestinationError(
            f"{where} has a password, query or fragment: put what is secret into {_HEADERS}"
        )
    path = parts.path.rstrip("/")
    if path.endswith(tuple(f"/v1/{signal.name}" for signal in SIGNALS)):
        raise DestinationError(f"{where}: leave out {path[path.rindex('/v1/') :]}, it is appended by itself")
    one = Destination(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port, path)
    if one.is_grpc and path:
        raise DestinationError(f"{where}: gRPC has no path, leave out {path}")
    if not one.port:
        raise DestinationError(f"{where}: 0 is no port to send to")
    return one


def _headers(text: str) -> Iterable[tuple[str, tuple[tuple[str, str], ...]]]:
    """Of each line the destination's name, "" for all, and its headers."""
    for number, line in enumerate(text.splitlines(), 1):
        rest = line.strip()
        if not rest or rest.startswith("#"):
            continue
        name, start = "", _ADDRESS.match(rest)
        if start:
            one = _destination(start[0])
            name, rest = one.name if one else "", rest[start.end() :].strip()
        pairs = [_header(pair, f"{_HEADERS}, line {number}") for pair in rest.split(",") if pair.strip()]
        yield name, tuple(pairs)


def _header(pair: str, where: str) -> tuple[str, str]:
    """One `name=value`, the value percent-encoded as in OTEL_EXPORTER_OTLP_HEADERS; never shown."""
    name, equals, value = pair.partition("=")
    name, value = unquote(name).strip().lower(), unquote(value).strip()
    if not equals or not _HEADER_NAME.fullmatch(name):
        raise DestinationError(f"{where}: headers are written name=value,name=value")
    if name in _RESERVED or name.startswith("grpc-") or name.endswith("-bin"):
        raise DestinationError(f"{where}: the header {name} is set by the transport, leave it out")
    if not _HEADER_VALUE.fullmatch(value):
        raise DestinationError(f"{where}: the value of {name} must be printable ASCII")
    return name, value
