from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.access.throttle import ACCOUNT, ADDRESS, LONGEST, Count, Rule, counted, counters
from app.mailer.domain.errors import TooManyTries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULE = Rule(free=3, forgets=timedelta(minutes=10))


def fresh() -> Count:
    return Count(0, NOW, None)


def test_the_first_tries_are_free_and_then_each_block_is_twice_as_long() -> None:
    count, now, blocks = fresh(), NOW, []
    for _ in range(13):
        count = counted(count, Rule(free=3, forgets=timedelta(days=1)), now)
        blocks.append((count.blocked_until or now) - now)
        now = count.blocked_until or now
    assert blocks[:7] == [timedelta(seconds=each) for each in (0, 0, 0, 5, 10, 20, 40)]
    assert blocks[-1] == LONGEST
    assert max(blocks) == LONGEST


def test_while_blocked_no_try_counts_and_the_wait_is_told_in_whole_seconds() -> None:
    blocked = Count(4, NOW, NOW + 5 * SECOND)
    with pytest.raises(TooManyTries) as caught:
        counted(blocked, RULE, NOW + timedelta(milliseconds=1500))
    assert caught.value.wait_seconds == 4
    assert counted(blocked, RULE, NOW + 5 * SECOND).failures == 5


def test_failures_are_forgotten_one_by_one_however_often_somebody_looks() -> None:
    count = Count(3, NOW, None)
    assert counted(count, RULE, NOW + timedelta(minutes=9)).failures == 4
    assert counted(count, RULE, NOW + timedelta(minutes=10)).failures == 3
    assert counted(count, RULE, NOW + timedelta(days=400)) == Count(
        1, NOW + timedelta(days=400), None
    )
    # What has passed of the next ten minutes is not lost.
    later = counted(count, RULE, NOW + timedelta(minutes=19))
    assert later.as_of == NOW + timedelta(minutes=10)


def test_a_clock_that_went_back_forgives_nothing_and_fails_nobody() -> None:
    assert counted(Count(3, NOW, None), RULE, NOW - timedelta(hours=1)).failures == 4


def test_a_guesser_who_waits_out_every_block_gets_some_hundred_tries_a_day() -> None:
    count, now, tries = fresh(), NOW, 0
    while now < NOW + timedelta(days=1):
        count = counted(count, ACCOUNT, now)
        tries += 1
        now = max(now + SECOND, count.blocked_until or now)
    assert tries < 130


def test_an_account_counts_the_same_however_it_is_written_and_whether_it_exists() -> None:
    def account(*given: str) -> str:
        return next(each.key_hash for each in counters(*given, None))

    assert account("acme", "ada@example.org") == account("ACME", "Ada@Example.org")
    assert account("acme", "ada@example.org") != account("acme", "bob@example.org")
    assert account("a", "b@c") != account("ab", "@c")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_an_ipv6_subscriber_is_one_address(one: str, other: str, same: bool) -> None:
    def key(address: str) -> str:
        found = counters("acme", "ada@example.org", address)
        return next(each.key_hash for each in found if each.rule is ADDRESS)

    assert (key(one) == key(other)) is same


def test_counters_come_in_the_order_of_their_keys() -> None:
    for number in range(20):
        keys = [each.key_hash for each in counters("t", f"{number}@example.org", "192.0.2.1")]
        assert keys == sorted(keys)
        assert len(keys) == 2
