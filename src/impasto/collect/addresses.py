"""Which machines may be asked: none that a name on the web could only point to by mistake or guile.

A name is resolved once, every address it has is checked, and the connection goes to the very
address that was checked: nothing is looked up between the check and the connection, so that a name
server which answers differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# RFC 6052: the last 32 bits are an IPv4 address.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SPECIAL = [
    ipaddress.ip_network(text)
    for text in (
        # IPv4 inside IPv6 of all other kinds, local translation (RFC 8215) among them.
        "::/8",
        # Documentation (RFC 9637), segment routing (RFC 9602), relays of 6to4 (RFC 7526).
        "3fff::/20",
        "5f00::/16",
        "192.88.99.0/24",
    )
]
"""Networks that no public server has, and that not every Python knows."""

Resolver = Callable[[str, int], Sequence[str]]


class PrivateAddressError(Exception):
    """A name leads to an address that is not on the public internet; the message names both."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system's resolver gives them.

    Raises:
        OSError: it has none, or the resolver cannot be asked.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    Private, loopback, link-local, shared, reserved, unspecified and multicast addresses do not
    (IANA's special-purpose registries), nor does an IPv6 address that carries such an IPv4 one.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(str(carried))
        if ip.is_site_local:
            return False
    elif ip.is_reserved:
        return False
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_unspecified


@dataclass(frozen=True)
class Guard:
    """Decides which address a connection may go to.

    Attributes:
        allow_private: let every address pass.
        resolve: how names become addresses.
    """

    allow_private: bool = False
    resolve: Resolver = resolve

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of them checked.

        Raises:
            PrivateAddressError: one of them is not public.
            OSError: it has none.
        """
        found = list(self.resolve(host, port))
        if not found:
            raise OSError("has no address")
        for address in found:
            if not self.allow_private and not is_public(address):
                shown = address if address == host else f"{host} ({address})"
                raise PrivateAddressError(f"{shown} is not on the public internet")
        return found
