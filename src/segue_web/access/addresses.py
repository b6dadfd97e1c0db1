"""Client addresses, also behind trusted proxies."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress

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


MAX_HOPS = 20
"""Maximum number of chained proxies that are evaluated."""


def client_address(peer: str, forwarded: str, proxies: Iterable[str]) -> str:
    """Address of a client, as trusted proxies report it.

    Args:
        peer: address of the connection.
        forwarded: headers ``X-Forwarded-For``, joined by commas.
        proxies: addresses and networks of proxies that are trusted.

    Returns:
        The last address that no trusted proxy has; ``peer`` where that is none.
    """
    networks = [ipaddress.ip_network(each, strict=False) for each in proxies]
    address = peer
    for hop in reversed(forwarded.split(",")[-MAX_HOPS:]):
        if not any(_is_in(address, network) for network in networks):
            break
        try:
            address = str(ipaddress.ip_address(_without_port(hop.strip())))
        except ValueError:
            break
    return address


def check_network(text: str) -> None:
    """Raise SegueError unless a text is an address or a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SegueError(
            f"{text!r}: give an address, such as 10.0.0.2, or a network, 10.0.0.0/8 ({error})"
        ) from None


def _is_in(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    with suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        mapped = getattr(parsed, "ipv4_mapped", None)
        return (mapped or parsed) in network
    return False


def _without_port(text: str) -> str:
    """Address from ``X-Forwarded-For`` without a port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
