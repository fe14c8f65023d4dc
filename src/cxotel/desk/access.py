"""Who may send to a desk and who may see its pages: what is demanded, and whether somebody has it.

Nothing in here answers a request; `guard.py` and the receivers do. No secret is in a `repr` or a message.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# 96 bits of base64, beyond guessing; `openssl rand -hex 32` has 64 characters.
SHORTEST_TOKEN = 16
# NIST SP 800-63B, 5.1.1.2: at least 8 characters; attempts are slowed down as 5.2.2 there wants it.
SHORTEST_PASSWORD = 8
# A working day: the next one begins with a login.
SESSION_SECONDS = 12 * 3600
# A contact centre's supervisors with a few browsers each; beyond it the oldest session ends.
MOST_SESSIONS = 1000
# Slips of the finger cost nothing; from then on each wrong password doubles the wait, up to five minutes:
# some 300 attempts a day and address.
FREE_ATTEMPTS, LONGEST_WAIT = 3, 300.0
# Addresses remembered for it; beyond them the one that has been quiet longest is forgotten.
MOST_ADDRESSES = 10_000
UNKNOWN_SENDER = "no token, or one that is not known: OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20..."
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class AccessError(ValueError):
    """A setting that cannot be, or one that is missing; says which and what to do."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM; with `client_ca`, whoever sends must have a certificate signed by it."""

    cert: str
    key: str
    client_ca: str | None = None

    def check(self) -> None:
        """Raise `AccessError` unless all files can be read and belong together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise AccessError(f"--tls-cert {self.cert} with --tls-key {self.key}: {_reason(error)}") from None
        if self.client_ca:
            try:
                context.load_verify_locations(self.client_ca)
            except (OSError, ValueError) as error:
                raise AccessError(f"--tls-client-ca {self.client_ca}: {_reason(error)}") from None


@dataclass(frozen=True)
class Proxy:
    """A proxy before the pages that knows who asks and says so in `header`."""

    header: str
    networks: tuple[Network, ...]

    def is_from(self, address: str) -> bool:
        """Whether a request comes from the proxy."""
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer.version == network.version and peer in network for network in self.networks)


@dataclass(frozen=True)
class Access:
    """What a desk demands; without anything it is open, which only a loopback address may be.

    Attributes:
        ingest_tokens: one of them lets somebody send; several, so that they can be changed without a gap.
        read_tokens: one of them lets a program read pages and JSON.
        password: lets somebody log in to the pages.
        proxy: whom it names sees the pages.
        tls: for all three ports.
        cors_origins: pages in browsers that may send over OTLP/HTTP; "*" is all.
        insecure_open: listen on any address although nothing is demanded.
    """

    ingest_tokens: tuple[str, ...] = field(default=(), repr=False)
    read_tokens: tuple[str, ...] = field(default=(), repr=False)
    password: str | None = field(default=None, repr=False)
    proxy: Proxy | None = None
    tls: Tls | None = None
    cors_origins: tuple[str, ...] = ()
    insecure_open: bool = False

    def check(self, host: str) -> None:
        """Raise `AccessError` if what is set cannot be, or is too little to listen on `host`."""
        for tokens, name in ((self.ingest_tokens, "ingest"), (self.read_tokens, "read")):
            if any(len(token) < SHORTEST_TOKEN for token in tokens):
                raise AccessError(
                    f"the {name} token is shorter than {SHORTEST_TOKEN} characters: "
                    "make one with `openssl rand -hex 32`"
                )
        if self.password is not None and len(self.password) < SHORTEST_PASSWORD:
            raise AccessError(
                f"the password is shorter than {SHORTEST_PASSWORD} characters: take a longer one"
            )
        for origin in self.cors_origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise AccessError(
                    f"--cors-origin {origin[:80]!r} is no origin: give scheme, host in lower case and port "
                    "if it is not the usual one, as in https://app.example.org"
                )
        if self.tls:
            self.tls.check()
        if not is_loopback(host) and not self.insecure_open:
            self._check_exposed(host)

    def _check_exposed(self, host: str) -> None:
        missing = []
        if not self.may_be_sent_to:
            missing.append(
                "for senders CXOTEL_DESK_INGEST_TOKEN, --ingest-token-file or --tls-client-ca (with "
                "--tls-cert and --tls-key)"
            )
        if not self.demands_login:
            missing.append(
                "for the pages CXOTEL_DESK_PASSWORD, --password-file or --trusted-proxy-header (with "
                "--trusted-proxy)"
            )
        if missing:
            raise AccessError(
                f"{host} can be reached from other machines, so say who may: set {'; and '.join(missing)}. "
                "Or stay on --host 127.0.0.1. (--insecure-open lets everybody in.)"
            )
        if "*" in self.cors_origins and not self.ingest_tokens:
            raise AccessError(
                "--cors-origin '*' lets every page in the world send: name the origins, or set "
                "CXOTEL_DESK_INGEST_TOKEN or --ingest-token-file"
            )

    @property
    def may_be_sent_to(self) -> bool:
        """Whether senders must show something."""
        return bool(self.ingest_tokens or (self.tls and self.tls.client_ca))

    @property
    def demands_login(self) -> bool:
        """Whether readers must show who they are."""
        return self.password is not None or self.proxy is not None

    def may_send(self, authorization: str) -> bool:
        """Whether this value of the header `authorization` lets somebody send."""
        return not self.ingest_tokens or _bears(authorization, self.ingest_tokens)

    def may_read(self, authorization: str) -> bool:
        """Whether this value of the header `authorization` lets a program read."""
        return _bears(authorization, self.read_tokens)


class Logins:
    """Sessions of those who gave the password, and how long an address waits that gave wrong ones.

    Kept in memory: a restart logs everybody out, and so does a new password with it.
    Used from one event loop.

    Args:
        password: the right one; None if nobody can log in.
        clock: seconds, never backwards.
    """

    def __init__(self, password: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._password, self._clock = password, clock
        self._secret = secrets.token_bytes(32)
        self._sessions: dict[str, float] = {}
        self._wrong: dict[str, tuple[int, float]] = {}

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 if it may."""
        number, last = self._wrong.get(_block(address), (0, 0.0))
        if number < FREE_ATTEMPTS:
            return 0.0
        return max(0.0, last + min(2.0 ** min(number - FREE_ATTEMPTS, 16), LONGEST_WAIT) - self._clock())

    def open(self, password: str, address: str) -> str | None:
        """A new session's id for the right password, None for a wrong one."""
        now, block = self._clock(), _block(address)
        if self._password is None or not _is_one_of(password, (self._password,)):
            self._wrong[block] = (self._wrong.pop(block, (0, 0.0))[0] + 1, now)
            _trim(self._wrong, MOST_ADDRESSES)
            return None
        self._wrong.pop(block, None)
        session = secrets.token_urlsafe(32)
        self._sessions[_digest(session)] = now + SESSION_SECONDS
        _trim(self._sessions, MOST_SESSIONS)
        return session

    def is_open(self, session: str) -> bool:
        """Whether a session is one of ours and not over."""
        return self._sessions.get(_digest(session), 0.0) > self._clock()

    def close(self, session: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(session), None)

    def form_token(self, who: str) -> str:
        """What a form must carry that somebody posts; `who` is a session's id, a name, or "" for nobody."""
        return hmac.new(self._secret, who.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, token: str, who: str) -> bool:
        """Whether this is `form_token(who)`."""
        return _is_one_of(token, (self.form_token(who),))


def access_from(
    *,
    ingest_token_file: str | None = None,
    read_token_file: str | None = None,
    password_file: str | None = None,
    trusted_proxy_header: str | None = None,
    trusted_proxy: Iterable[str] = (),
    tls_cert: str | None = None,
    tls_key: str | None = None,
    tls_client_ca: str | None = None,
    cors_origin: Iterable[str] = (),
    insecure_open: bool = False,
) -> Access:
    """Access as options, files and environment have it; files hold one token a line, `#` starts a comment.

    Raises:
        AccessError: a file that cannot be read or is empty, or an option without its other half.
    """
    password = os.environ.get("CXOTEL_DESK_PASSWORD") or None
    if password_file:
        (password, *more) = _lines("--password-file", password_file)
        if more:
            raise AccessError(f"--password-file {password_file} has more than one line: give one password")
    return Access(
        ingest_tokens=_tokens("ingest", ingest_token_file),
        read_tokens=_tokens("read", read_token_file),
        password=password,
        proxy=_proxy(trusted_proxy_header, tuple(trusted_proxy)),
        tls=_tls(tls_cert, tls_key, tls_client_ca),
        cors_origins=tuple(cors_origin),
        insecure_open=insecure_open,
    )


def is_loopback(host: str) -> bool:
    """Whether a name or address can only mean this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _proxy(header: str | None, networks: tuple[str, ...]) -> Proxy | None:
    if not header and not networks:
        return None
    if not header or not networks:
        raise AccessError("--trusted-proxy-header and --trusted-proxy go together: give both")
    if not re.fullmatch(r"[A-Za-z0-9-]+", header):
        raise AccessError(f"--trusted-proxy-header {header[:80]!r} is no header: as in X-Forwarded-User")
    try:
        found = tuple(ipaddress.ip_network(one) for one in networks)
    except ValueError as error:
        raise AccessError(f"--trusted-proxy: {error}: as in 10.0.0.7 or 10.0.0.0/24") from None
    return Proxy(header.lower(), found)


def _tls(cert: str | None, key: str | None, client_ca: str | None) -> Tls | None:
    if not (cert or key or client_ca):
        return None
    if not cert or not key:
        raise AccessError("TLS needs a certificate and its key: give both --tls-cert and --tls-key")
    return Tls(cert, key, client_ca)


def _tokens(name: str, path: str | None) -> tuple[str, ...]:
    given = re.split(r"[\s,]+", os.environ.get(f"CXOTEL_DESK_{name.upper()}_TOKEN", ""))
    return (*filter(None, given), *(_lines(f"--{name}-token-file", path) if path else ()))


def _lines(option: str, path: str) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"{option} {path}: {_reason(error)}") from None
    found = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not found:
        raise AccessError(f"{option} {path} is empty")
    return found


def _reason(error: Exception) -> str:
    """Without what a file holds."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate or key in PEM").lower().replace("_", " ")
    return getattr(error, "strerror", None) or "cannot be read"


def _bears(authorization: str, tokens: tuple[str, ...]) -> bool:
    scheme, _, token = authorization.partition(" ")
    return scheme.lower() == "bearer" and _is_one_of(token.strip(), tokens)


def _is_one_of(given: str, known: tuple[str, ...]) -> bool:
    """Compared in a time that tells nothing of how alike they are, nor of which was right."""
    digest = _digest(given)
    return sum(hmac.compare_digest(digest, _digest(one)) for one in known) > 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _block(address: str) -> str:
    """An address as attempts are counted: of IPv6 the /64, which is what one household or server has."""
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((peer, 64), strict=False)) if peer.version == 6 else address


def _trim(oldest_first: dict[str, Any], most: int) -> None:
    while len(oldest_first) > most:
        del oldest_first[next(iter(oldest_first))]
