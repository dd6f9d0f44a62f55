from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.replies import (
    EnhancedCode,
    Outcome,
    classify,
    enhanced_code,
    gravest,
)
from app.mailer.ports import Reply, Stage, TransportFailure


@pytest.mark.parametrize(
    ("code", "text", "outcome", "slow_down"),
    [
        (250, "2.0.0 Ok: queued as 4Zx", "accepted", False),
        (251, "user not local; will forward", "accepted", False),
        # not now
        (450, "4.2.1 mailbox busy", "deferred", False),
        (451, "4.7.1 Greylisted, come back in five minutes", "deferred", False),
        (452, "4.2.2 The email account that you tried to reach is over quota", "deferred", False),
        (451, "4.7.1 Greylisted, please try again later", "deferred", False),
        # too fast
        (421, "4.7.0 closing connection", "deferred", True),
        (432, "4.3.2 STOREDRV.Deliver; recipient thread limit", "deferred", True),
        (450, "4.2.1 receiving mail at a rate that prevents additional messages", "deferred", True),
        (451, "4.7.500 Server busy. Please try again later from [192.0.2.1]", "deferred", True),
        (451, "4.7.28 unusual amount of mail", "deferred", True),
        (452, "4.3.2 too many messages in this session", "deferred", True),
        # too fast, but said as if for good: never a failed recipient
        (550, "5.4.5 Daily user sending limit exceeded", "deferred", True),
        (550, "5.4.6 mail rate exceeded limit", "deferred", True),
        (550, "5.7.1 daily quota exceeded for sender", "deferred", True),
        (550, "5.1.90 Your message can't be sent", "deferred", True),
        (554, "5.7.1 You have exceeded your outgoing quota", "deferred", True),
        (554, "Sender is throttled", "deferred", True),
        (550, "Number of messages per hour exceeded", "deferred", True),
        (554, "too many connections, try again later", "deferred", True),
        (550, "5.7.1 Message refused, try again later", "deferred", True),
        (550, "You have reached your sending limit", "deferred", True),
        # for good
        (550, "5.1.1 user unknown", "rejected", False),
        (550, "5.7.1 message looks like spam", "rejected", False),
        (552, "5.3.4 message size exceeds fixed limit", "rejected", False),
        (552, "message exceeds the size limit", "rejected", False),
        (552, "5.2.2 mailbox quota exceeded", "rejected", False),
        (554, "5.4.6 too many hops", "rejected", False),
        (550, "5.7.23 SPF: too many DNS lookups", "rejected", False),
        # for a person to mend, before anything more is sent
        (530, "5.7.0 Authentication required", "account", False),
        (534, "5.7.14 please log in through your web browser", "account", False),
        (535, "5.7.8 too many attempts, try again later", "account", False),
        (550, "5.7.8 credentials expired", "account", False),
        (354, "go ahead", "unknown", False),
    ],
)
def test_a_reply(code: int, text: str, outcome: str, slow_down: bool) -> None:
    verdict = classify(Reply(code, text))
    assert (verdict.outcome.value, verdict.slow_down) == (outcome, slow_down)


def _failure(stage: Stage, reply: Reply | None = None, permanent: bool = False) -> TransportFailure:
    return TransportFailure(stage, "x", reply, permanent_here=permanent)


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (_failure(Stage.DOT), Outcome.UNKNOWN),
        (_failure(Stage.DOT, Reply(354, "what?")), Outcome.UNKNOWN),
        (_failure(Stage.CONNECT), Outcome.DEFERRED),
        (_failure(Stage.DATA), Outcome.DEFERRED),
        (_failure(Stage.CONNECT, permanent=True), Outcome.ACCOUNT),
        (_failure(Stage.TLS, permanent=True), Outcome.ACCOUNT),
        (_failure(Stage.AUTH, Reply(535, "5.7.8 no"), permanent=True), Outcome.ACCOUNT),
        (_failure(Stage.AUTH, Reply(454, "4.7.0 temporary"), permanent=False), Outcome.DEFERRED),
        (_failure(Stage.CONNECT, Reply(554, "no service for you")), Outcome.ACCOUNT),
        (_failure(Stage.CONNECT, Reply(421, "busy")), Outcome.DEFERRED),
        (_failure(Stage.CONNECT, Reply(554, "too many connections")), Outcome.DEFERRED),
        (_failure(Stage.MAIL, Reply(530, "5.7.0 log in first")), Outcome.ACCOUNT),
        (_failure(Stage.MAIL, Reply(550, "5.1.8 bad sender")), Outcome.REJECTED),
        (_failure(Stage.RCPT, Reply(550, "5.1.1 unknown")), Outcome.REJECTED),
        (_failure(Stage.DATA, Reply(451, "4.3.0 later")), Outcome.DEFERRED),
        (_failure(Stage.DATA, Reply(250, "out of step")), Outcome.DEFERRED),
        # SMTPUTF8 or SIZE: the fault of this message on this server, not of the account
        (_failure(Stage.MAIL, permanent=True), Outcome.REJECTED),
    ],
)
def test_a_failure(failure: TransportFailure, outcome: Outcome) -> None:
    assert classify(failure).outcome is outcome


@given(st.sampled_from([s for s in Stage if s is not Stage.DOT]), st.integers(200, 599), st.text())
def test_before_the_dot_nothing_is_accepted_or_unknown(stage: Stage, code: int, text: str) -> None:
    outcome = classify(_failure(stage, Reply(code, text))).outcome
    assert outcome in {Outcome.REJECTED, Outcome.DEFERRED, Outcome.ACCOUNT}


@given(st.integers(400, 599), st.text())
def test_slow_down_never_costs_a_recipient(code: int, text: str) -> None:
    verdict = classify(Reply(code, text))
    assert not verdict.slow_down or verdict.outcome is Outcome.DEFERRED


@pytest.mark.parametrize(
    ("code", "text", "found"),
    [
        (550, "5.1.1 unknown", EnhancedCode(5, 1, 1)),
        (550, "5.7.705", EnhancedCode(5, 7, 705)),
        (550, "4.1.1 contradicts itself", None),
        (550, "5.1.1x", None),
        (550, "see 5.1.1 in the manual", None),
        (550, "5.1", None),
    ],
)
def test_enhanced_codes(code: int, text: str, found: EnhancedCode | None) -> None:
    assert enhanced_code(Reply(code, text)) == found


def test_a_refusal_for_good_decides_over_others() -> None:
    later, quota, never = Reply(450, "later"), Reply(550, "rate limit"), Reply(550, "5.1.1 unknown")
    assert gravest([later, quota, never]) is never
    assert gravest([Reply(250, "ok"), quota]) is quota


@pytest.mark.parametrize("word", ["limit", "exceed ", "daily.", "limit ", "relaying-", "rate"])
def test_no_reply_takes_long(word: str) -> None:
    """A hostile server says as much as the wire takes: a hundred lines of 8 KB."""
    lines = "\n".join([word * (8000 // len(word))] * 100)
    begin = time.process_time()
    classify(Reply(450, lines))
    assert time.process_time() - begin < 0.5
