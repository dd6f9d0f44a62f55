"""Who has to say yes, and to what."""

from __future__ import annotations

import pytest

from app.mailer.domain.delivery.approval import (
    Approval,
    is_looser,
    messages_digest,
    stricter,
    why_not_approver,
)

N, R, T = Approval.NONE, Approval.REQUIRED, Approval.TWO_PERSON


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [(N, None, N), (N, R, R), (T, N, T), (R, T, T), (T, R, T), (R, None, R)],
)
def test_the_stricter_rule_holds(one: Approval, other: Approval | None, holds: Approval) -> None:
    assert stricter(one, other) is holds


@pytest.mark.parametrize(
    ("one", "other", "looser"),
    [(None, R, True), (N, R, True), (R, T, True), (R, R, False), (T, R, False), (N, None, False)],
)
def test_what_asks_for_less(one: Approval | None, other: Approval | None, looser: bool) -> None:
    assert is_looser(one, other) is looser


def test_an_approval_is_about_every_message_in_its_order() -> None:
    a, b = ("e1", "a" * 64), ("e2", "b" * 64)
    digest, count = messages_digest([a, b])
    assert count == 2
    others = [[b, a], [a], [a, b, b], [a, ("e2", "c" * 64)], [("e1x", a[1]), b], []]
    assert all(messages_digest(each)[0] != digest for each in others)
    assert messages_digest(iter([a, b])) == (digest, 2)


def test_an_author_is_no_second_person() -> None:
    authors = ["user:1", "user:2"]
    assert why_not_approver(T, "user:2", authors) is not None
    assert why_not_approver(T, "user:3", authors) is None
    assert why_not_approver(R, "user:2", authors) is None
