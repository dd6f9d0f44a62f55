"""When a password is forgotten, who may send, and how fast."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.mail_account import AccountTerms, ServerPlace, sender_patterns, slowest
from app.mailer.domain.mailbox import parse_mailbox

_PLACES = st.builds(
    ServerPlace,
    st.sampled_from(["a.example", "A.EXAMPLE", "b.example"]),
    st.sampled_from([25, 465]),
    st.sampled_from(["plain", "tls", "starttls"]),
)


@given(_PLACES, _PLACES)
def test_a_password_goes_to_its_host_alone_and_never_into_the_clear(
    before: ServerPlace, after: ServerPlace
) -> None:
    keeps = after.may_keep_password_of(before)
    same_host = after.host.lower() == before.host.lower()
    if keeps:
        assert same_host
        assert after.security != "plain" or before.security == "plain"
    elif same_host:
        assert after.security == "plain"


def test_staying_where_it_is_keeps_it() -> None:
    for security in ("plain", "tls", "starttls"):
        place = ServerPlace("a.example", 25, security)
        assert place.may_keep_password_of(place)
    assert not ServerPlace("a.example", 26, "plain").may_keep_password_of(
        ServerPlace("a.example", 25, "plain")
    )


def test_senders_are_addresses_or_whole_domains() -> None:
    allowed = sender_patterns(["Office@Example.org", "@Bücher.example", " office@example.org "])
    assert allowed == ["office@example.org", "@xn--bcher-kva.example"]
    terms = AccountTerms(uuid4(), "office", from_addresses=tuple(allowed))
    for address, expected in (
        ("office@example.org", True),
        ("OFFICE@EXAMPLE.ORG", True),
        ("Anybody <x@bücher.example>", True),
        ("other@example.org", False),
        ("office@sub.example.org", False),
        ("x@sub.xn--bcher-kva.example", False),
    ):
        assert terms.lets_send(parse_mailbox(address)) is expected
    assert AccountTerms(uuid4(), "any").lets_send(parse_mailbox("x@y.example"))


def test_all_that_is_wrong_with_the_senders_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"“nobody”.*“@”|“nobody”.*“x@”"):
        sender_patterns(["nobody", "@", "a@example.org"])


def test_the_pace_keeps_the_hardest_limit() -> None:
    assert AccountTerms(uuid4(), "x").pace is None
    assert AccountTerms(uuid4(), "x", per_minute=30, per_hour=600).pace == 10
    assert AccountTerms(uuid4(), "x", per_minute=30, per_hour=600, per_day=1440).pace == 1
    assert slowest(None, 5.0, 2.0) == 2.0
    assert slowest(None, None) is None
