"""Client addresses, also behind trusted proxies."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from segue.errors import SegueError

LOOPBACK = ("127.0.0.1", "localhost")
"""Names of this machine; with others a foreign address could point here (DNS rebinding)."""


EVERY = ("", "0.0.0.0", "::")
"""Hosts of a server that listens at all addresses of this machine."""


def page_host(host: str) -> str:
    """Host name of a server for links from other machines."""
    name = socket.gethostname() if host in EVERY else host
    return f"[{name}]" if ":" in name else name


def sender_of(address: str) -> str:
    """Identity of a client for rate limits: its IPv4 address, or its IPv6 network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def trusted_networks(proxies: Iterable[str]) -> list[str]:
    """Networks of trusted proxies; those of IPv4 also as a socket of IPv6 reports them."""
    networks = [ipaddress.ip_network(each, strict=False) for each in proxies]
    mapped = (
        f"::ffff:{each.network_address}/{96 + each.prefixlen}" for each in networks if each.version == 4
    )
    return [*map(str, networks), *mapped]


def check_network(text: str) -> None:
    """Raise SegueError unless a text is an address or a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SegueError(
            f"{text!r}: give an address, such as 10.0.0.2, or a network, 10.0.0.0/8 ({error})"
        ) from None
