from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.letters.recipients import (
    CombineFlags,
    Lists,
    OwnLists,
    combine,
    envelope_recipients,
    only_test_recipients,
    shared_copies,
)
from app.mailer.domain.mailbox import Mailbox, parse_mailbox

ADA, BOB, EVE = (parse_mailbox(f"{name} <{name}@x.de>") for name in ("ada", "bob", "eve"))
ADA_AGAIN = parse_mailbox("Lovelace <ADA@X.de>")
ALL, NONE = CombineFlags(True, True, True, True), CombineFlags(False, False, False, False)


def test_defaults_are_those_of_the_format() -> None:
    assert CombineFlags() == CombineFlags(reply_to=True, to=False, cc=True, bcc=True)


@pytest.mark.parametrize("which", ["reply_to", "to", "cc", "bcc"])
@pytest.mark.parametrize(
    ("flags", "own", "expected"),
    [
        (ALL, None, (ADA,)),
        (ALL, (), (ADA,)),
        (ALL, (BOB,), (ADA, BOB)),
        (NONE, None, (ADA,)),
        (NONE, (), ()),
        (NONE, (BOB,), (BOB,)),
    ],
)
def test_flags(
    which: str,
    flags: CombineFlags,
    own: tuple[Mailbox, ...] | None,
    expected: tuple[Mailbox, ...],
) -> None:
    lists = combine(flags, Lists(**{which: (ADA,)}), OwnLists(**{which: own}))
    assert lists == Lists(**{which: expected})


def test_one_address_once() -> None:
    lists = combine(
        ALL,
        Lists(to=(ADA,), cc=(ADA_AGAIN, BOB), bcc=(BOB, EVE), reply_to=(ADA,)),
        OwnLists(to=(ADA_AGAIN,), cc=(), bcc=(ADA, EVE)),
    )
    assert lists == Lists(to=(ADA,), cc=(BOB,), bcc=(EVE,), reply_to=(ADA,))


def test_first_name_wins() -> None:
    lists = combine(NONE, Lists(), OwnLists(to=(ADA_AGAIN, ADA)))
    assert lists.to == (ADA_AGAIN,)
    assert lists.to[0].name == "Lovelace"


def test_mode_test_reaches_test_recipients_alone() -> None:
    lists = only_test_recipients(
        Lists(to=(ADA,), cc=(BOB,), bcc=(BOB,), reply_to=(BOB,)), (EVE, EVE)
    )
    assert lists == Lists(to=(EVE,), reply_to=(BOB,))
    assert envelope_recipients(lists) == ("eve@x.de",)


def test_envelope_has_everybody_once_in_order() -> None:
    lists = Lists(to=(BOB, ADA), cc=(ADA_AGAIN, EVE), bcc=(BOB,), reply_to=(EVE,))
    assert envelope_recipients(lists) == ("bob@x.de", "ada@x.de", "eve@x.de")


def test_shared_copies() -> None:
    outside = parse_mailbox("o@elsewhere.org")
    own = parse_mailbox("p@elsewhere.org")
    found = shared_copies(
        ADA, Lists(cc=(outside,), bcc=(BOB,)), Lists(to=(EVE,), cc=(outside, own), bcc=(BOB,))
    )
    assert found.outside == (outside,)
    assert found.visible_to == ()
    assert found
    replaced = shared_copies(ADA, Lists(cc=(outside,)), Lists(to=(EVE,), cc=(own,)))
    assert not replaced
    assert shared_copies(ADA, Lists(), Lists(to=(EVE, BOB))).visible_to == (EVE, BOB)


people = st.builds(
    Mailbox,
    st.sampled_from(["a", "A", "b", "c", "ö", "Ö"]),
    st.sampled_from(["x.de", "y.org"]),
    st.sampled_from(["", "N"]),
)
some = st.lists(people, max_size=6).map(tuple)
flags = st.builds(CombineFlags, *[st.booleans()] * 4)
own_lists = st.builds(OwnLists, *[st.none() | some] * 4)


@given(flags, st.builds(Lists, some, some, some, some), own_lists)
def test_nobody_twice_nobody_lost_and_precedence(
    flags: CombineFlags, global_: Lists, own: OwnLists
) -> None:
    lists = combine(flags, global_, own)
    keys = [mailbox.key for mailbox in (*lists.to, *lists.cc, *lists.bcc)]
    assert len(keys) == len(set(keys))
    assert len(lists.reply_to) == len({mailbox.key for mailbox in lists.reply_to})

    def wanted(which: str) -> set[str]:
        mine, theirs = getattr(own, which), getattr(global_, which)
        added = getattr(flags, which)
        everyone = theirs if mine is None else (theirs + mine if added else mine)
        return {mailbox.key for mailbox in everyone}

    assert {mailbox.key for mailbox in lists.to} == wanted("to")
    assert {mailbox.key for mailbox in lists.cc} == wanted("cc") - wanted("to")
    assert {mailbox.key for mailbox in lists.bcc} == wanted("bcc") - wanted("to") - wanted("cc")
    assert {mailbox.key for mailbox in lists.reply_to} == wanted("reply_to")
    assert len(envelope_recipients(lists)) == len(keys)
