"""Which addresses a server that somebody else named may have."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.hosts import HostRules, is_public

NOBODY = HostRules()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.8",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12:3456::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:db8::1",
        "100::1",
        "nonsense",
        "",
    ],
)
def test_a_private_address_is_not_allowed(address: str) -> None:
    assert not NOBODY.allow("mail.example.org", [address])


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "203.0.114.1", "172.32.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"],
)
def test_a_public_one_is(address: str) -> None:
    assert NOBODY.allow("mail.example.org", [address])


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    assert not NOBODY.allow("mail.example.org", ["8.8.8.8", "10.0.0.1"])


def test_the_operator_names_hosts_and_networks() -> None:
    rules = HostRules.of(["Mail.Intern", "10.1.0.0/16", "fd00::/8", "192.168.1.5"])
    assert rules.allow("mail.intern.", ["10.9.9.9"])
    assert rules.allow("x", ["10.1.2.3", "fd00::1", "192.168.1.5", "::ffff:10.1.2.3"])
    assert not rules.allow("x", ["10.2.0.1"])
    assert not rules.allow("x", ["192.168.1.6"])
    assert not rules.allow("evil.mail.intern", ["10.9.9.9"])
    assert HostRules.of([], everything=True).allow("x", ["127.0.0.1"])


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_wrapping_an_address_changes_nothing(address: IPv4Address) -> None:
    allowed = NOBODY.allow("x", [str(address)])
    number = int(address)
    mapped = ip_address((0xFFFF << 32) | number)
    nat64 = ip_address((0x64FF9B << 96) | number)
    sixtofour = ip_address((0x2002 << 112) | (number << 80))
    for wrapped in (mapped, nat64, sixtofour):
        assert NOBODY.allow("x", [str(wrapped)]) is allowed
    assert allowed is is_public(address)
