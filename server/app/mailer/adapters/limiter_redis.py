"""The rate limiter that all processes share, in Redis: one script for each verb, by Redis's clock.

Redis may lose everything at any time: what was sent before is asked for again, complaints are
forgotten, and a connection is counted from its next renewal on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.mailer.domain.delivery import pacing
from app.mailer.ports import HOLD_SECONDS, Allowance, LimiterAway, Standing

#: Seconds for connecting, and for an answer: together less than the three that a caller may wait.
_PATIENCE = 1.0
_VERBS = ("reserve", "seed", "slow_down", "slowed", "enter", "leave", "standing")
_NUMBERS = {
    "SLOWEST_SHARE": pacing.SLOWEST_SHARE,
    "RECOVERY_PER_MINUTE": pacing.RECOVERY_PER_MINUTE,
    "FULLY_RECOVERED": pacing.FULLY_RECOVERED,
    "STRETCH": pacing.STRETCH,
    "GRACE": pacing.GRACE,
    "LATEST": pacing.LATEST,
    "HOLD_SECONDS": HOLD_SECONDS,
}
_SPANS = {"hour": pacing.HOUR, "day": pacing.DAY}
#: The body of the scripts' clock; what they write depends on it, which Redis has allowed since 5.
CLOCK = "local t = redis.call('TIME') return t[1] + t[2] / 1000000"


T = TypeVar("T")


def _scripts() -> dict[str, str]:
    spans = ", ".join(
        f"{{name = '{name}', seconds = {span.seconds}, buckets = {span.buckets}}}"
        for name, span in _SPANS.items()
    )
    head = "\n".join(
        [
            *(f"local {name} = {number!r}" for name, number in _NUMBERS.items()),
            f"local SPANS = {{{spans}}}",
            f"local function now_in_seconds() {CLOCK} end",
        ]
    )
    text = Path(__file__).with_suffix(".lua").read_text("utf-8")
    return {verb: f"{head}\n{text}\nreturn {verb}()\n" for verb in _VERBS}


class RedisLimiter:
    """Implements `ports.RateLimiter` for all processes that are given the same Redis."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=_PATIENCE,
            socket_timeout=_PATIENCE,
            # Its own way is to try for longer than anybody here waits.
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            # The newer protocol begins with a dialogue that has no meaning for what is no Redis.
            protocol=2,
        )
        where = self._redis.connection_pool.connection_kwargs
        self._place = where.get("path") or f"{where.get('host')}:{where.get('port')}"
        self._scripts = {
            verb: self._redis.register_script(text) for verb, text in _scripts().items()
        }

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        if not allowances:
            return 0.0
        answer = self._once_known(allowances, "reserve", repr(float(patience)), _json(allowances))
        return self._read(float, answer)

    def slow_down(self, key: str, per_minute: float) -> None:
        self._run("slow_down", key, repr(float(per_minute)))

    def slowed(self, key: str) -> float | None:
        return self._read(_number, self._run("slowed", key))

    def enter(self, key: str, owner: str, wanted: int, at_most: int) -> int:
        return self._read(int, self._run("enter", key, owner, wanted, at_most))

    def leave(self, key: str, owner: str) -> None:
        self._run("leave", key, owner)

    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]:
        if not allowances:
            return []

        def read(rows: Any) -> list[Standing]:
            return [
                Standing(each.key, _number(pace), float(share), float(wait), hour, day, connections)
                for each, (pace, share, wait, hour, day, connections) in zip(
                    allowances, rows, strict=True
                )
            ]

        return self._read(read, self._once_known(allowances, "standing", _json(allowances)))

    def close(self) -> None:
        self._redis.close()

    def _once_known(self, allowances: Sequence[Allowance], verb: str, *arguments: str) -> Any:
        """A verb's answer, after telling it the past of those that it does not know."""
        while isinstance(answer := self._run(verb, *arguments), list):
            strangers = [each for each in answer if isinstance(each, int)]
            if not strangers:
                break
            for place in strangers:
                stranger = allowances[place - 1]
                sent = [(ago, count) for ago, count in stranger.sent_before() if count > 0]
                self._run("seed", json.dumps(_plain(stranger)), json.dumps(sent))
        return answer

    def _run(self, verb: str, *arguments: str | int) -> Any:
        script = self._scripts[verb]
        try:
            try:
                return script(args=arguments)
            except redis.ConnectionError:
                # A connection that Redis has closed since its last use tells of that only now. If
                # a place was taken over it, that place is lost.
                return script(args=arguments)
        except (redis.RedisError, OSError) as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            raise LimiterAway(f"Redis at {self._place} does not answer: {reason}.") from error

    def _read(self, read: Callable[[Any], T], answer: Any) -> T:
        try:
            return read(answer)
        except (ValueError, TypeError) as error:
            raise LimiterAway(
                f"Redis at {self._place} does not answer: it says {str(answer)[:100]!r} where "
                "numbers should be."
            ) from error


def _number(answer: Any) -> float | None:
    return None if answer is None else float(answer)


def _plain(allowance: Allowance) -> dict[str, Any]:
    limits = {
        "per_minute": None if allowance.per_minute is None else float(allowance.per_minute),
        "per_hour": allowance.per_hour,
        "per_day": allowance.per_day,
    }
    return {"key": allowance.key} | {
        name: limit for name, limit in limits.items() if limit is not None
    }


def _json(allowances: Sequence[Allowance]) -> str:
    return json.dumps([_plain(each) for each in allowances])
