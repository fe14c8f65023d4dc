"""One request to one backend, and what its answer means (OTLP 1.10, "Failures"): OTLP/gRPC and OTLP/HTTP."""

from __future__ import annotations

import gzip
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import grpc
import urllib3
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # it brings no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it brings no types

from cxotel._version import __version__
from cxotel.desk import wire
from cxotel.desk.addresses import GRPC_PORT

if TYPE_CHECKING:
    from cxotel.desk.destination import Destination

TAKEN, LATER, REFUSED = "taken", "later", "refused"
# OTEL_EXPORTER_OTLP_TIMEOUT's default.
REQUEST_SECONDS = 10.0
# A backend may ask for patience, not for so much that a mistaken figure stops all.
MOST_PATIENCE = 300.0
# Of an answer's body; a partial success has one sentence.
MOST_ANSWER = 64 * 1024
MOST_NOTE = 300
_CODES = grpc.StatusCode
# OTLP 1.10, "OTLP/gRPC Throttling" and the table before it; RESOURCE_EXHAUSTED only with RetryInfo.
RETRYABLE = {
    _CODES.CANCELLED,
    _CODES.DEADLINE_EXCEEDED,
    _CODES.ABORTED,
    _CODES.OUT_OF_RANGE,
    _CODES.UNAVAILABLE,
    _CODES.DATA_LOSS,
}
# OTLP 1.10, "OTLP/HTTP Response", "Retryable Response Codes".
RETRYABLE_HTTP = {429, 502, 503, 504}
# What is wrong is not the request's content, so that its parts would be refused alike.
OF_ALL = {_CODES.UNIMPLEMENTED, _CODES.UNAUTHENTICATED, _CODES.PERMISSION_DENIED, _CODES.NOT_FOUND}
OF_ALL_HTTP = {301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 415}
PROTOBUF = "application/x-protobuf"
# Where OpenSSL's own setting names no file: Debian and others, Red Hat, Alpine and BSDs.
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        kind: TAKEN, LATER (send it again) or REFUSED (never send it again).
        note: what the backend said, "" where all was well.
        rejected: items of a request that was taken otherwise.
        after: seconds that the backend asked to wait.
        of_all: a refusal that every request of this signal would get.
        too_large: a refusal that a smaller request may not get.
    """

    kind: str
    note: str = ""
    rejected: int = 0
    after: float = 0.0
    of_all: bool = False
    too_large: bool = False


class GrpcSender:
    """A channel to a backend. `authorities`: of certificates, PEM; for grpcs alone."""

    def __init__(self, destination: Destination, authorities: bytes | None) -> None:
        options = [
            # gRPC's own wait between connections grows to 2 min; ours is in forward.py.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5000),
            ("grpc.primary_user_agent", f"cxotel/{__version__}"),
        ]
        where = destination.authority
        if destination.is_tls:
            trusted = grpc.ssl_channel_credentials(root_certificates=authorities)
            self._channel = grpc.secure_channel(where, trusted, options, grpc.Compression.Gzip)
        else:
            self._channel = grpc.insecure_channel(where, options, grpc.Compression.Gzip)
        self._calls = {
            signal.name: self._channel.unary_unary(f"/{signal.service}/Export") for signal in wire.SIGNALS
        }
        self._metadata = destination.headers

    def send(self, signal: wire.Signal, data: bytes) -> Answer:
        """Send a request."""
        try:
            body = self._calls[signal.name](data, timeout=REQUEST_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            return _grpc_failure(error)
        except ValueError as error:  # the channel was closed
            return Answer(LATER, str(error))
        return _taken(signal, body)

    def close(self) -> None:
        """Cut off what is under way."""
        self._channel.close()


class HttpSender:
    """Connections to a backend. `authorities`: of certificates, PEM; for https alone."""

    def __init__(self, destination: Destination, authorities: bytes | None) -> None:
        options: dict[str, Any] = {"retries": False, "timeout": REQUEST_SECONDS}
        if destination.is_tls:
            options["ssl_context"] = ssl.create_default_context()
            if authorities is not None:
                options["ssl_context"].load_verify_locations(cadata=authorities.decode("ascii", "replace"))
        proxy = None if proxy_bypass(destination.host) else getproxies().get(destination.scheme)
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        self._url = f"{destination.scheme}://{destination.authority}{destination.path}/v1/"
        self._hint = " (mostly 4317 speaks gRPC: grpc://)" if destination.port == GRPC_PORT else ""
        self._headers = dict(destination.headers) | {
            "content-type": PROTOBUF,
            "content-encoding": "gzip",
            "user-agent": f"cxotel/{__version__}",
        }

    def send(self, signal: wire.Signal, data: bytes) -> Answer:
        """Send a request."""
        body = gzip.compress(data, 6, mtime=0)
        try:
            response = self._pool.request(
                "POST",
                self._url + signal.name,
                body=body,
                headers=self._headers,
                redirect=False,
                preload_content=False,
            )
            try:
                text = response.read(MOST_ANSWER, decode_content=True)
                if len(text) == MOST_ANSWER:
                    response.close()
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # urllib3's text begins with its own object, whose address is known to whoever reads this.
            said = re.sub(r"^(<[^>]*>|\w+\([^)]*\)): ", "", str(error)) or type(error).__name__
            return Answer(LATER, _short(said) + self._hint)
        if 200 <= response.status < 300:
            return _taken(signal, text)
        note = _short(f"{response.status} {response.reason or ''}: {_said(response, text)}".rstrip(": "))
        if response.status in RETRYABLE_HTTP:
            return Answer(LATER, note, after=_patience(response.headers.get("retry-after", "")))
        return Answer(REFUSED, note, of_all=response.status in OF_ALL_HTTP, too_large=response.status == 413)

    def close(self) -> None:
        """Let idle connections go."""
        self._pool.clear()


def sender_of(destination: Destination, authorities: bytes | None) -> GrpcSender | HttpSender:
    """What sends to a destination; `authorities`: further certificates to trust, PEM.

    Raises:
        ValueError: they are none.
    """
    if authorities is not None:
        ssl.create_default_context(cadata=authorities.decode("ascii", "replace"))
    if not destination.is_grpc:
        return HttpSender(destination, authorities)
    # gRPC brings a list of its own in place of the system's, and takes one file.
    system = _system_authorities()
    given = [one for one in (system, authorities) if one is not None]
    return GrpcSender(destination, b"\n".join(given) or None)


def _system_authorities() -> bytes | None:
    for name in (ssl.get_default_verify_paths().cafile, *BUNDLES):
        if name:
            with suppress(OSError):
                return Path(name).read_bytes()
    return None


def _taken(signal: wire.Signal, body: bytes) -> Answer:
    try:
        fields: Any = signal.response.FromString(body)
    except DecodeError:
        return Answer(TAKEN, "the answer is not OTLP's: is this the address of a backend?")
    partial = fields.partial_success
    return Answer(TAKEN, _short(partial.error_message), max(0, getattr(partial, signal.rejected)))


def _grpc_failure(error: Any) -> Answer:
    code = error.code()
    note = _short(f"{code.name}: {error.details() or ''}".rstrip(": "))
    asked = _retry_info(error)
    if code in RETRYABLE or (code is _CODES.RESOURCE_EXHAUSTED and asked is not None):
        return Answer(LATER, note, after=asked or 0.0)
    # What gRPC's servers say of a message over their limit, or of a quota.
    return Answer(REFUSED, note, of_all=code in OF_ALL, too_large=code is _CODES.RESOURCE_EXHAUSTED)


def _retry_info(error: Any) -> float | None:
    """Seconds of the RetryInfo in the status, None without one."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            with suppress(DecodeError):
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        delay = info.retry_delay
                        return min(MOST_PATIENCE, max(0.0, float(delay.seconds + delay.nanos / 1e9)))
    return None


def _patience(text: str) -> float:
    """Seconds of a Retry-After (RFC 9110, 10.2.3): a number or a date."""
    if text.isdecimal():
        return min(MOST_PATIENCE, float(text[:9]))
    try:
        left = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(MOST_PATIENCE, max(0.0, left))


def _said(response: urllib3.BaseHTTPResponse, text: bytes) -> str:
    if response.headers.get("content-type", "").startswith(PROTOBUF):
        with suppress(DecodeError):
            return str(Status.FromString(text).message)
    return text.decode("utf-8", "replace")


def _short(text: str) -> str:
    return " ".join(text.split())[:MOST_NOTE]
