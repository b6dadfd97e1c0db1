"""Who sends a request, by the addresses of connections and of trusted proxies."""

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
    """The host of a server as an address has it that another machine can open."""
    name = socket.gethostname() if host in EVERY else host
    return f"[{name}]" if ":" in name else name


def sender_of(address: str) -> str:
    """Who sends from an address: itself, or of IPv6 its network, in which one computer has many addresses."""
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
"""Proxies behind one another that are looked at."""


def client_address(peer: str, forwarded: str, proxies: Iterable[str]) -> str:
    """The address of a client, which trusted proxies name.

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
    """Refuse a text that is neither an address nor a network; SegueError if so."""
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
    """An address of ``X-Forwarded-For``, where some proxies write the port of the client, too."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
