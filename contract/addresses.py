"""Where a URL from outside may lead: lists of host names and networks, and addresses that no camera or package has.

A URL is judged twice: as it is spelled, when a CMS names it (`check`), and by the addresses that its host has at the
moment of connecting (`resolve`), since a name may mean another address by then. A listed name vouches for whatever
address it has; only what `_NEVER` holds must be listed as an address or network itself.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from contract.errors import UrlRefused

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What answers there hands out a machine's own credentials to whoever asks from it: refused even where all else is
#: allowed, since a CMS user who may name URLs would else read them. A camera on a link-local address must be listed.
_NEVER: tuple[Network, ...] = (
    ipaddress.IPv4Network("169.254.0.0/16"),  # Link-local: 169.254.169.254 of AWS, Azure, Google, OpenStack and others.
    ipaddress.IPv6Network("fe80::/10"),
    ipaddress.IPv6Network("fd00:ec2::/32"),  # AWS over IPv6.
    ipaddress.IPv4Network("100.100.100.200/32"),  # Alibaba Cloud.
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's wire server.
)
#: RFC 6052: the last 32 bits are an IPv4 address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_NAME = re.compile(r"(\*?\.)?\w([\w.-]*\w)?\.?")
#: `inet_aton` takes them, and so does every resolver: 2852039166, 0xa9fea9fe, 127.1.
_OLD_NUMBERS = re.compile(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The hosts that URLs of one kind may have; with nothing listed, all but `_NEVER`.

    Attributes:
        setting: the variable that lists them, for those who are refused.
        names: exact host names.
        below: suffixes with their dot; what ends so is allowed.
        networks: what the addresses of all other hosts must lie in.
    """

    setting: str
    names: frozenset[str]
    below: tuple[str, ...]
    networks: tuple[Network, ...]

    @classmethod
    @functools.cache
    def of(cls, entries: tuple[str, ...], setting: str) -> Allowed:
        """Return what `entries` allow: `host`, `.domain` (it and all below), `*.domain` (all below), address, CIDR.

        Raises:
            ValueError: an entry is none of these; the text says which.
        """
        names, below, networks = set(), [], []
        for entry in entries:
            network = _network(entry)
            if network is not None:
                networks.append(network)
                continue
            if not _NAME.fullmatch(entry):
                raise ValueError(f"{entry!r} is no host name, .domain, *.domain, address or network in CIDR notation")
            name = _spelled(entry)
            if name.startswith("."):
                names.add(name[1:])
            if name.startswith((".", "*.")):
                below.append(name.removeprefix("*"))
            else:
                names.add(name)
        return cls(setting, frozenset(names), tuple(below), tuple(networks))

    def check(self, url: str) -> None:
        """Judge a URL by its spelling alone: nothing is resolved, so that nobody has to wait.

        Raises:
            UrlRefused: its host is not allowed, whatever its name means.
        """
        host = urlsplit(url).hostname or ""
        address = _literal(host)
        if address is None:
            taken = self._all or self._named(host) or bool(self.networks)
        else:
            taken = self._takes(address, named=False)
        if not taken:
            raise self._refused()

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host` that may be connected to, in the resolver's order.

        To connect to one of them, and not to `host`, is what keeps a name from meaning something else a moment later.

        Raises:
            UrlRefused: it has none.
            OSError: the name cannot be resolved.
        """
        named = self._named(host)
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        taken = [each for each in found if self._takes(ipaddress.ip_address(each), named=named)]
        if not taken:
            raise self._refused()
        return taken

    @property
    def _all(self) -> bool:
        return not (self.names or self.below or self.networks)

    def _named(self, host: str) -> bool:
        name = _spelled(host)
        return name in self.names or name.endswith(self.below)

    def _takes(self, address: Address, *, named: bool) -> bool:
        plain = _unwrapped(address)
        if any(plain in network for network in self.networks):
            return True
        return (named or self._all) and not any(plain in network for network in _NEVER)

    def _refused(self) -> UrlRefused:
        return UrlRefused(f"the operator does not allow this host; it would have to be listed in {self.setting}")


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as exc:
        if "/" in entry:
            raise ValueError(f"{entry!r} is no network ({exc})") from None
        return None


def _spelled(host: str) -> str:
    return host.lower().rstrip(".")


def _literal(host: str) -> Address | None:
    """Return the address that `host` spells, in the old ways too; None: it is a name."""
    if _OLD_NUMBERS.fullmatch(host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, else `address`."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address
