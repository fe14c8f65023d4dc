"""Whose address is it? What would be sent to the desk itself must not be sent."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

# OTLP's ports, for addresses without one (OTLP specification, 1.10, "Default Port").
GRPC_PORT, HTTP_PORT = 4317, 4318


def split(endpoint: str, default_port: int = GRPC_PORT) -> tuple[str, int]:
    """Host and port of an OTLP endpoint, with or without scheme.

    Raises:
        ValueError: it has no host, or no number as its port.
    """
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    if not parts.hostname:
        raise ValueError(f"{endpoint!r} has no host")
    return parts.hostname, parts.port or default_port


def is_own(endpoint: str, host: str, ports: set[int], default_port: int = GRPC_PORT) -> bool:
    """Whether a desk that listens on `ports` of `host` would be sending to itself.

    An address of this machine on which another program listens is not the desk's, unless the desk listens on
    all of them. A name that does not resolve is nobody's.
    """
    try:
        name, port = split(endpoint, default_port)
        theirs = _addresses(name)
    except (ValueError, OSError):
        return False
    if port not in ports:
        return False
    ours = _addresses(host)
    if any(address.is_unspecified for address in ours):
        return any(_is_of_this_machine(address) for address in theirs)
    return bool(ours & theirs) or any(address.is_unspecified for address in theirs)


def _addresses(name: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    addresses = {ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found}
    mapped = {a.ipv4_mapped for a in addresses if isinstance(a, ipaddress.IPv6Address) and a.ipv4_mapped}
    return addresses | mapped


def _is_of_this_machine(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.bind((str(address), 0))  # only what this machine has can be bound
    except OSError:
        return False
    return True
