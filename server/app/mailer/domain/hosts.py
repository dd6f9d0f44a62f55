"""Which addresses a mail server may have: none within this network, unless the operator says so.

Whoever may name a server could otherwise make this program knock at doors that only it can reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

#: NAT64 (RFC 6052): the last 32 bits are the IPv4 address that is reached.
_NAT64 = IPv6Network("64:ff9b::/96")
#: IPv4-compatible, long deprecated (RFC 4291, 2.5.5.1).
_COMPATIBLE = IPv6Network("::/96")
#: Of IANA's special-purpose registries, what not every Python 3.11 knows to be no one's in public.
_SPECIAL = tuple(
    ip_network(each)
    for each in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
    )
)


@dataclass(frozen=True, slots=True)
class HostRules:
    """`names` and `networks` may be reached although they are private; `everything`: all may."""

    names: frozenset[str] = frozenset()
    networks: tuple[_Network, ...] = ()
    everything: bool = False

    @classmethod
    def of(cls, allowed: Iterable[str], *, everything: bool = False) -> HostRules:
        """From texts such as `mail.intern`, `10.1.2.3` and `10.0.0.0/8`."""
        names: set[str] = set()
        networks: list[_Network] = []
        for text in allowed:
            try:
                networks.append(ip_network(text, strict=False))
            except ValueError:
                names.add(_name(text))
        return cls(frozenset(names), tuple(networks), everything)

    def know(self, host: str) -> bool:
        """Whether `host` may be reached whatever its addresses are."""
        return self.everything or _name(host) in self.names

    def allow(self, host: str, addresses: Iterable[str]) -> bool:
        """Whether `host`, which has these addresses, may be reached: known, or each is allowed."""
        return self.know(host) or all(self._allows(address) for address in addresses)

    def _allows(self, text: str) -> bool:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return False
        reached = _reached(address)
        if any(address in network or reached in network for network in self.networks):
            return True
        return is_public(reached)


def is_public(address: _Address) -> bool:
    """Whether an address is one of the internet's, and of one machine (IANA's registries)."""
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or any(address in network for network in _SPECIAL)
        or (isinstance(address, IPv6Address) and address.is_site_local)
    )


def _reached(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 address only wraps, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _name(host: str) -> str:
    return host.rstrip(".").casefold()
