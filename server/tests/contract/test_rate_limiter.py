"""What every `RateLimiter` promises: that of one process, and that in a real Redis."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.mailer.adapters import limiter_redis
from app.mailer.adapters.clock import SystemClock
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.adapters.limiter_redis import RedisLimiter
from app.mailer.domain.delivery.pacing import GRACE, STRETCH
from app.mailer.ports import HOLD_SECONDS, Allowance, LimiterAway, RateLimiter
from tests.servers.redis import RedisServer

HOUR, DAY = 3600.0, 24 * 3600.0
#: Any moment; the clock of a test begins here.
START = 1_700_000_000.0


class StillClock:
    """Moves when it is told to; the one in Redis as well."""

    def __init__(self, server: RedisServer | None = None) -> None:
        self._server = server
        self.at = START
        self.sleep(0.0)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        if self._server is not None:
            with self._server.client() as client:
                client.set("test:now", repr(self.at))


@dataclass
class Still:
    limiter: RateLimiter
    clock: StillClock

    def waits(self, count: int, *allowances: Allowance, patience: float = inf) -> list[float]:
        return [self.limiter.reserve(allowances, patience) for _ in range(count)]


@pytest.fixture(params=["memory", "redis"])
def still(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Still]:
    """Each limiter, under a clock that the test moves."""
    if request.param == "memory":
        clock = StillClock()
        yield Still(MemoryLimiter(clock), clock)
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        server.flush()
        with _still_redis(server, monkeypatch) as made:
            yield made


class _still_redis:
    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            limiter_redis, "CLOCK", "return tonumber(redis.call('GET', 'test:now'))"
        )
        self._limiter = RedisLimiter(server.url)
        self._made = Still(self._limiter, StillClock(server))

    def __enter__(self) -> Still:
        return self._made

    def __exit__(self, *_: object) -> None:
        self._limiter.close()


@pytest.fixture(params=["memory", "redis"])
def limiter(request: pytest.FixtureRequest) -> Iterator[RateLimiter]:
    """Each limiter, under the clock that it has in earnest."""
    if request.param == "memory":
        yield MemoryLimiter(SystemClock())
    else:
        made = RedisLimiter(request.getfixturevalue("redis_url"))
        yield made
        made.close()


@dataclass
class Past:
    """What an allowance is told of the past, and how often it asked."""

    sent: Sequence[tuple[float, int]] = ()
    asked: int = field(default=0)

    def __call__(self) -> Sequence[tuple[float, int]]:
        self.asked += 1
        return self.sent


SECOND = 60.0 * STRETCH
"""A pace of one place a second, exactly."""


def close(*waits: float) -> object:
    return pytest.approx(list(waits), abs=1e-5)


class TestPace:
    def test_without_a_limit_nobody_waits(self, still: Still) -> None:
        assert still.waits(50, Allowance("a")) == [0.0] * 50
        assert still.limiter.reserve([], 0.0) == 0.0

    def test_keys_do_not_share_a_pace_and_callers_of_one_do(self, still: Still) -> None:
        assert still.waits(4, Allowance("a", SECOND)) == close(0, 1 - GRACE, 2 - GRACE, 3 - GRACE)
        assert still.waits(1, Allowance("b", SECOND)) == [0.0]

    def test_another_rate_holds_from_the_next_place_on(self, still: Still) -> None:
        still.waits(1, Allowance("a", SECOND))
        assert still.waits(2, Allowance("a", SECOND / 10)) == close(1 - GRACE, 11 - GRACE)

    def test_who_has_no_patience_takes_nothing(self, still: Still) -> None:
        still.waits(1, Allowance("a", SECOND))
        assert still.waits(3, Allowance("a", SECOND), patience=0.5) == close(*[1 - GRACE] * 3)
        still.clock.sleep(0.5)
        assert still.waits(2, Allowance("a", SECOND), patience=0.5) == close(0.3, 1.3)

    def test_of_several_all_are_taken_or_none(self, still: Still) -> None:
        fast, slow = Allowance("fast", SECOND), Allowance("slow", SECOND / 10)
        still.waits(1, slow)
        assert still.waits(2, fast, slow, patience=5.0) == close(*[10 - GRACE] * 2)
        assert still.waits(1, fast) == [0.0]
        assert still.waits(1, fast, slow) == close(10 - GRACE)
        assert still.waits(1, fast) == close(11 - 2 * GRACE)

    def test_lateness_within_the_grace_is_made_good(self, still: Still) -> None:
        still.waits(1, Allowance("a", SECOND))
        for _ in range(5):
            still.clock.sleep(1.0)
            assert still.waits(1, Allowance("a", SECOND)) == [0.0]
        still.clock.sleep(30.0)
        assert still.waits(2, Allowance("a", SECOND)) == close(0, 1 - GRACE)

    def test_threads_never_get_the_same_place(self, limiter: RateLimiter) -> None:
        began, taken = time.monotonic(), []

        def take() -> None:
            taken.extend(
                [
                    limiter.reserve([Allowance("a", SECOND)], inf) + time.monotonic()
                    for _ in range(50)
                ]
            )

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Each place is told by a thread that may have stood still before it looked at its watch.
        late = time.monotonic() - began
        for number, at in enumerate(sorted(taken)[1:], 1):
            assert number - GRACE - 0.01 <= at - began <= number + late


class TestComplaints:
    def test_a_complaint_slows_its_own_key_down(self, still: Still) -> None:
        still.waits(1, Allowance("a", SECOND))
        still.waits(1, Allowance("b", SECOND))
        still.limiter.slow_down("a", SECOND)
        assert still.waits(2, Allowance("a", SECOND)) == [
            pytest.approx(2, abs=1e-5),
            pytest.approx(4, rel=0.01),
        ]
        assert still.waits(2, Allowance("b", SECOND)) == close(1 - GRACE, 2 - GRACE)

    def test_it_gives_a_pace_to_what_had_none_until_that_has_recovered(self, still: Still) -> None:
        assert still.limiter.slowed("a") is None
        still.limiter.slow_down("a", SECOND)
        assert still.limiter.slowed("a") == pytest.approx(SECOND / 2)
        assert still.waits(1, Allowance("a")) == close(2)
        still.limiter.slow_down("a", 1.0)
        assert still.limiter.slowed("a") == pytest.approx(SECOND / 4)
        still.clock.sleep(5 * 60.0)
        assert still.limiter.slowed("a") == pytest.approx(SECOND / 4 * 1.2**5)
        still.clock.sleep(10 * 60.0)
        assert still.limiter.slowed("a") is None
        assert still.waits(9, Allowance("a")) == [0.0] * 9

    def test_standing_tells_it(self, still: Still) -> None:
        still.limiter.slow_down("a", 600.0)
        limited, free = still.limiter.standing([Allowance("a", 60.0), Allowance("b")])
        assert (limited.key, limited.pace, limited.share) == ("a", pytest.approx(30), 0.5)
        assert limited.wait == pytest.approx(0.1 * 2 * STRETCH, abs=1e-5)
        assert (free.key, free.pace, free.share, free.wait) == ("b", None, 1.0, 0.0)
        assert (free.this_hour, free.today, free.connections) == (None, None, 0)
        (free,) = still.limiter.standing([Allowance("a")])
        assert free.pace == pytest.approx(300)
        assert still.limiter.standing([]) == []


class TestBudgets:
    def test_all_of_it_may_be_used_at_once_and_then_nothing(self, still: Still) -> None:
        hourly = Allowance("a", per_hour=5)
        assert still.waits(5, hourly, patience=60.0) == [0.0] * 5
        (wait,) = still.waits(1, hourly, patience=60.0)
        assert HOUR <= wait <= HOUR + 120
        still.clock.sleep(wait + 0.001)
        assert still.waits(5, hourly, patience=60.0) == [0.0] * 5

    def test_a_day_of_it(self, still: Still) -> None:
        daily = Allowance("a", per_hour=5, per_day=7)
        assert still.waits(5, daily, patience=60.0) == [0.0] * 5
        still.clock.sleep(HOUR + 120)
        assert still.waits(2, daily, patience=60.0) == [0.0] * 2
        (wait,) = still.waits(1, daily, patience=60.0)
        assert DAY - HOUR - 120 <= wait <= DAY - HOUR + 1800
        still.clock.sleep(wait + 0.001)
        assert still.waits(5, daily, patience=60.0) == [0.0] * 5
        assert still.waits(1, daily, patience=60.0)[0] > 60.0

    def test_who_waits_for_a_place_has_it(self, still: Still) -> None:
        hourly = Allowance("a", per_hour=2)
        still.waits(1, hourly)
        still.clock.sleep(600.0)
        waits = still.waits(3, hourly)
        assert waits[0] == 0.0
        assert HOUR - 600 <= waits[1] <= HOUR - 480
        assert HOUR <= waits[2] <= HOUR + 120

    def test_where_another_limit_refuses_nothing_is_used(self, still: Still) -> None:
        hourly, slow = Allowance("a", per_hour=2), Allowance("b", SECOND / 100)
        still.waits(1, hourly, slow)
        still.waits(5, hourly, slow, patience=1.0)
        assert still.limiter.standing([hourly])[0].this_hour == 1

    def test_standing_tells_what_is_used(self, still: Still) -> None:
        both = Allowance("a", per_hour=5, per_day=7)
        still.waits(5, both)
        (standing,) = still.limiter.standing([both])
        assert (standing.this_hour, standing.today, standing.pace) == (5, 5, None)
        assert HOUR <= standing.wait <= HOUR + 120
        still.clock.sleep(HOUR + 120)
        (standing,) = still.limiter.standing([both])
        assert (standing.this_hour, standing.today, standing.wait) == (0, 5, 0.0)

    def test_a_stranger_is_asked_for_what_was_sent_before_and_asked_once(
        self, still: Still
    ) -> None:
        past = Past([(30.0, 3), (HOUR + 300, 4), (DAY + HOUR, 9), (5.0, 0)])
        both = Allowance("a", per_hour=5, per_day=8, sent_before=past)
        assert [(each.this_hour, each.today) for each in still.limiter.standing([both])] == [(3, 7)]
        assert still.waits(1, both, patience=1.0) == [0.0]
        assert still.waits(1, both, patience=1.0)[0] > HOUR
        assert past.asked == 1

    def test_without_a_budget_nobody_is_asked(self, still: Still) -> None:
        past = Past([(30.0, 3)])
        still.waits(3, Allowance("a", SECOND, sent_before=past), Allowance("b", sent_before=past))
        still.limiter.standing([Allowance("a", SECOND, sent_before=past)])
        assert past.asked == 0

    def test_where_nothing_was_sent_before_that_is_known_too(self, still: Still) -> None:
        past = Past()
        still.limiter.standing([Allowance("a", per_day=8, sent_before=past)])
        still.waits(2, Allowance("a", per_day=8, sent_before=past))
        assert past.asked == 1

    def test_a_budget_that_was_lifted_for_a_while_asks_again(self, still: Still) -> None:
        past = Past()
        limited = Allowance("a", per_hour=5, sent_before=past)
        still.waits(2, limited)
        still.waits(3, Allowance("a"))  # not counted: nobody asked for it
        past.sent = [(0.0, 5)]
        assert still.waits(1, limited, patience=1.0)[0] > HOUR
        assert past.asked == 2

    def test_a_second_budget_asks_for_itself(self, still: Still) -> None:
        still.waits(2, Allowance("a", per_hour=5))
        past = Past([(10.0, 2), (2 * HOUR, 4)])
        both = Allowance("a", per_hour=5, per_day=6, sent_before=past)
        assert still.waits(1, both, patience=1.0)[0] > HOUR
        assert [(each.this_hour, each.today) for each in still.limiter.standing([both])] == [(2, 6)]

    def test_if_several_ask_at_once_one_past_counts(self, limiter: RateLimiter) -> None:
        everybody = threading.Barrier(4, timeout=30)

        def past() -> Sequence[tuple[float, int]]:
            everybody.wait()
            return [(10.0, 10)]

        allowance = Allowance("a", per_hour=100, sent_before=past)
        threads = [
            threading.Thread(target=limiter.reserve, args=([allowance], 1.0)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert limiter.standing([allowance])[0].this_hour == 14

    def test_a_past_that_cannot_be_told_takes_nothing(self, still: Still) -> None:
        def past() -> Sequence[tuple[float, int]]:
            raise RuntimeError("the database is away")

        with pytest.raises(RuntimeError):
            still.waits(1, Allowance("a", SECOND), Allowance("b", per_day=3, sent_before=past))
        assert still.waits(1, Allowance("a", SECOND)) == [0.0]


class TestConnections:
    def test_all_owners_together_have_no_more_than_there_are(self, still: Still) -> None:
        enter = still.limiter.enter
        assert enter("a", "one", 3, 5) == 3
        assert enter("a", "two", 3, 5) == 2
        assert enter("a", "three", 3, 5) == 0
        assert enter("b", "three", 3, 5) == 3
        assert enter("a", "one", 3, 5) == 3
        still.limiter.leave("a", "one")
        still.limiter.leave("a", "nobody")
        assert enter("a", "three", 4, 5) == 3
        (standing,) = still.limiter.standing([Allowance("a")])
        assert standing.connections == 5

    def test_where_fewer_are_allowed_now_an_owner_keeps_fewer(self, still: Still) -> None:
        assert still.limiter.enter("a", "one", 3, 5) == 3
        assert still.limiter.enter("a", "two", 2, 5) == 2
        assert still.limiter.enter("a", "one", 3, 4) == 2
        assert still.limiter.enter("a", "one", 0, 4) == 0
        assert still.limiter.standing([Allowance("a")])[0].connections == 2

    def test_who_says_nothing_loses_them(self, still: Still) -> None:
        still.limiter.enter("a", "dead", 3, 3)
        still.clock.sleep(HOLD_SECONDS - 10)
        assert still.limiter.enter("a", "one", 3, 3) == 0
        still.clock.sleep(11)
        assert still.limiter.enter("a", "one", 3, 3) == 3
        for _ in range(3):
            still.clock.sleep(HOLD_SECONDS - 10)
            assert still.limiter.enter("a", "one", 3, 3) == 3
            assert still.limiter.enter("a", "two", 3, 3) == 0


# -- both do the same sums

KEYS = st.sampled_from(["a", "b"])
ALLOWANCES = st.builds(
    Allowance,
    KEYS,
    st.one_of(st.none(), st.sampled_from([0.4, 5.0, 60.0, 6000.0])),
    st.one_of(st.none(), st.integers(1, 6)),
    st.one_of(st.none(), st.integers(1, 9)),
    st.just(lambda: [(20.0, 1), (4000.0, 2)]),
)
STEPS = st.one_of(
    st.tuples(
        st.just("reserve"),
        st.lists(ALLOWANCES, min_size=1, max_size=2, unique_by=lambda each: each.key),
        st.sampled_from([0.0, 1.0, 120.0, 10_000.0]),
    ),
    st.tuples(st.just("standing"), st.lists(ALLOWANCES, min_size=1, max_size=2)),
    st.tuples(st.just("slow_down"), KEYS, st.sampled_from([3.0, 77.0, 600.0])),
    st.tuples(st.just("slowed"), KEYS),
    st.tuples(st.just("enter"), KEYS, st.sampled_from("xyz"), st.integers(0, 4), st.integers(1, 5)),
    st.tuples(st.just("leave"), KEYS, st.sampled_from("xyz")),
    st.tuples(st.just("sleep"), st.one_of(st.floats(0, 3), st.floats(0, 5000))),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_whichever_it_is_it_says_the_same(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[object, ...]]
) -> None:
    redis_server.flush()
    clock = StillClock()
    memory = MemoryLimiter(clock)
    with _still_redis(redis_server, monkeypatch) as shared:
        for verb, *arguments in steps:
            if verb == "sleep":
                clock.sleep(*arguments)  # type: ignore[arg-type]
                shared.clock.sleep(*arguments)  # type: ignore[arg-type]
            else:
                asked = [getattr(each, str(verb))(*arguments) for each in (memory, shared.limiter)]
                assert asked[0] == asked[1], (verb, arguments)


# -- what only the one in Redis has to care for


@pytest.fixture
def two(redis_url: str) -> Iterator[tuple[RedisLimiter, RedisLimiter]]:
    made = RedisLimiter(redis_url), RedisLimiter(redis_url)
    yield made
    for each in made:
        each.close()


def test_two_processes_share_everything(two: tuple[RedisLimiter, RedisLimiter]) -> None:
    one, other = two
    assert one.reserve([Allowance("a", 6.0)], 0.0) == 0.0
    assert other.reserve([Allowance("a", 6.0)], 0.0) > 9
    one.slow_down("b", 60.0)
    assert other.slowed("b") == pytest.approx(30, rel=0.01)
    assert one.enter("a", "one", 2, 3) == 2
    assert other.enter("a", "other", 2, 3) == 1
    one.reserve([Allowance("c", per_hour=1)], 0.0)
    assert other.reserve([Allowance("c", per_hour=1)], 0.0) > 3500


def test_an_emptied_redis_knows_of_budgets_what_the_database_knows(
    redis_server: RedisServer, two: tuple[RedisLimiter, RedisLimiter]
) -> None:
    past = Past()
    allowance = Allowance("a", per_hour=3, sent_before=past)
    assert [two[0].reserve([allowance], 0.0) for _ in range(3)] == [0.0] * 3
    redis_server.flush()
    past.sent = [(1.0, 3)]
    assert two[1].reserve([allowance], 0.0) > 3000
    assert two[0].reserve([allowance], 0.0) > 3000
    assert past.asked == 2


def test_nothing_stays_in_redis_for_ever(
    redis_server: RedisServer, two: tuple[RedisLimiter, RedisLimiter]
) -> None:
    limiter, _ = two
    limiter.reserve([Allowance("a", 5.0, 3, 9, lambda: [(7000.0, 1)]), Allowance("b", 0.001)], inf)
    limiter.standing([Allowance("c", per_day=3)])
    limiter.slow_down("d", 1e-300)
    limiter.enter("a", "one", 2, 3)
    with redis_server.client() as client:
        left = {key: client.pttl(key) / 1000 for key in client.scan_iter()}
    assert all(key.startswith("mm:") for key in left)
    assert len(left) == 7
    assert HOUR < left["mm:pace:a"] <= HOUR + 20
    assert left["mm:pace:b"] > 60_000
    assert HOUR < left["mm:hour:a"] <= HOUR + 130
    assert DAY < left["mm:day:a"] <= DAY + 1810
    assert DAY < left["mm:day:c"] <= DAY + 1810
    assert HOLD_SECONDS < left["mm:connections:a"] <= HOLD_SECONDS + 1


def test_a_restarted_redis_is_found_again(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    limiter = RedisLimiter(server.url)
    limiter.reserve([Allowance("a", 6.0)], 0.0)
    server.restart()  # the scripts are gone as well, and the connection is dead
    assert limiter.reserve([Allowance("a", 6.0)], 0.0) == 0.0
    assert limiter.reserve([Allowance("a", 6.0)], 0.0) > 9
    limiter.close()


def everything(limiter: RateLimiter) -> list[Callable[[], object]]:
    allowances = [Allowance("a", 6.0)]
    return [
        lambda: limiter.reserve(allowances, 0.0),
        lambda: limiter.slow_down("a", 6.0),
        lambda: limiter.slowed("a"),
        lambda: limiter.enter("a", "one", 1, 1),
        lambda: limiter.leave("a", "one"),
        lambda: limiter.standing(allowances),
    ]


def test_where_redis_is_gone_it_says_so(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(password="hunter2")
    limiter = RedisLimiter(server.url)
    assert limiter.reserve([Allowance("a", 6.0)], 0.0) == 0.0
    server.kill()
    for verb in everything(limiter):
        with pytest.raises(LimiterAway) as raised:
            verb()
        text = str(raised.value)
        assert text.startswith(f"Redis at 127.0.0.1:{server.port} does not answer: ")
        assert "hunter2" not in text
    server.start()
    assert limiter.reserve([Allowance("a", 6.0)], 0.0) == 0.0
    limiter.close()


def test_where_redis_is_silent_nobody_waits_for_long(
    start_redis: Callable[..., RedisServer],
) -> None:
    server = start_redis()
    limiter = RedisLimiter(server.url)
    limiter.slowed("a")
    server.freeze()
    for _ in range(2):  # over a connection that there is, and over a new one
        began = time.monotonic()
        with pytest.raises(LimiterAway, match="does not answer"):
            limiter.reserve([Allowance("a", 6.0)], 0.0)
        assert time.monotonic() - began < 3
    server.thaw()
    limiter.reserve([Allowance("a", 6.0)], 0.0)
    limiter.close()


def test_a_wrong_password_is_not_told(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(password="hunter2")
    limiter = RedisLimiter(server.url.replace("hunter2", "hunter3"))
    with pytest.raises(LimiterAway) as raised:
        limiter.slowed("a")
    assert "password" in str(raised.value)
    assert "hunter" not in str(raised.value)
    limiter.close()


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"*1\r\n*1\r\n+x\r\n", b"HTTP/1.1 400 no\r\n\r\n"])
def test_what_is_no_redis_is_not_believed(answer: bytes) -> None:
    def serve(listening: socket.socket) -> None:
        while True:
            try:
                there, _ = listening.accept()
            except OSError:
                return
            with there:
                while there.recv(65536):
                    there.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        limiter = RedisLimiter(f"redis://127.0.0.1:{listening.getsockname()[1]}/0")
        for verb in (limiter.reserve, lambda *_: limiter.standing([Allowance("a")])):
            with pytest.raises(LimiterAway):
                verb([Allowance("a", 6.0)], 0.0)
        limiter.close()
        listening.shutdown(socket.SHUT_RDWR)
