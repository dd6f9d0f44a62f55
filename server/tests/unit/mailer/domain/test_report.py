from __future__ import annotations

import csv
import io
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.job import OPEN, Decision, ImapStatus, SendStatus
from app.mailer.domain.issues import EntryState
from app.mailer.domain.report import (
    IN_DOUBT_EXPLANATION,
    JOB_COLUMNS,
    NEEDS_ATTENTION,
    Card,
    JobGroup,
    card_of,
    cards,
    cell,
    every,
    summary_text,
    time_left,
    write_jobs_csv,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def group(
    build: EntryState = EntryState.READY,
    decision: Decision | None = None,
    send: SendStatus = SendStatus.UNQUEUED,
    *,
    sent_before: bool = False,
    count: int = 1,
) -> JobGroup:
    return JobGroup(build, decision, send, ImapStatus.NOT_REQUESTED, sent_before, count)


# -- cards


@pytest.mark.parametrize(
    ("build", "decision", "sent_before", "card"),
    [
        (EntryState.READY, None, False, Card.READY_TO_SEND),
        (EntryState.WARNING, None, False, Card.READY_TO_SEND),
        (EntryState.READY, None, True, Card.SENT_BEFORE),
        (EntryState.READY, Decision.EXCLUDE, False, Card.LEFT_OUT),
        (EntryState.NEEDS_REVIEW, None, False, Card.NEEDS_REVIEW),
        (EntryState.NEEDS_REVIEW, None, True, Card.NEEDS_REVIEW),
        (EntryState.NEEDS_REVIEW, Decision.ACCEPT, False, Card.READY_TO_SEND),
        (EntryState.NEEDS_REVIEW, Decision.EXCLUDE, False, Card.LEFT_OUT),
        (EntryState.BLOCKED, None, False, Card.BLOCKED),
        (EntryState.EXCLUDED, None, False, Card.LEFT_OUT),
        (EntryState.INACTIVE, None, True, Card.LEFT_OUT),
    ],
)
def test_what_was_not_queued_counts_by_its_reason(
    build: EntryState, decision: Decision | None, sent_before: bool, card: Card
) -> None:
    assert card_of(group(build, decision, sent_before=sent_before)) is card


@pytest.mark.parametrize("status", [each for each in SendStatus if each is not SendStatus.UNQUEUED])
def test_what_was_queued_counts_by_its_send_status(status: SendStatus) -> None:
    for build in EntryState:
        card = card_of(group(build, send=status))
        assert card is (Card.WAITING if status in OPEN else Card(status.value))


def test_each_job_is_in_one_card() -> None:
    axes = itertools.product(EntryState, (None, *Decision), SendStatus, (False, True))
    groups = [
        group(build, decision, send, sent_before=before, count=number)
        for number, (build, decision, send, before) in enumerate(axes)
    ]
    counted = cards(groups)
    total = sum(each.count for each in groups)
    assert counted["total"] == total
    assert sum(counted[card] for card in Card) == total
    assert counted["needs_attention"] == sum(counted[card] for card in NEEDS_ATTENTION)
    assert cards([]) == {"total": 0, "needs_attention": 0} | {card.value: 0 for card in Card}


def test_states_that_do_not_occur_count_as_zero() -> None:
    assert every(ImapStatus, {ImapStatus.FAILED: 2}) == {
        "not_requested": 0,
        "pending": 0,
        "appended": 0,
        "failed": 2,
    }


# -- time left


def left(**values: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "per_minute": 10,
        "concurrency": 1,
        "waiting": 31,
        "ready": 0,
        "next_due_at": None,
        "now": NOW,
    }
    return time_left(**(given | values))


def test_the_rate_limit_says_how_long_the_rest_takes() -> None:
    found = left(ready=30)
    # 30 waits of 6 seconds between 31 messages.
    assert found["remaining"] == 31
    assert found["estimated_seconds"] == 180
    assert found["estimated_finish_at"] == (NOW + timedelta(minutes=3)).isoformat()
    assert found["estimated_seconds_with_ready"] == 360


def test_what_is_due_later_is_finished_later() -> None:
    later = NOW + timedelta(hours=2)
    found = left(next_due_at=later)
    assert found["estimated_finish_at"] == (later + timedelta(minutes=3)).isoformat()
    past = left(next_due_at=NOW - timedelta(hours=2))
    assert past["estimated_finish_at"] == (NOW + timedelta(minutes=3)).isoformat()


def test_without_a_limit_there_is_no_estimate() -> None:
    found = left(per_minute=None)
    assert found["messages_per_minute"] is None
    assert found["estimated_seconds"] is None
    assert found["estimated_finish_at"] is None
    assert found["estimated_seconds_with_ready"] is None


def test_a_pace_near_nothing_is_no_fault() -> None:
    for pace in (1e-300, 5e-324):
        found = left(per_minute=pace, waiting=10)
        assert found["estimated_seconds"] == 100 * 365 * 24 * 3600
        assert found["estimated_finish_at"] is not None


def test_nothing_left_takes_no_time() -> None:
    found = left(waiting=0)
    assert (found["estimated_seconds"], found["estimated_finish_at"]) == (0, None)


# -- the table


def row(**values: object) -> dict[str, object]:
    return dict.fromkeys(JOB_COLUMNS) | values


def written(*rows: dict[str, object], bom: bool = False) -> str:
    file = io.StringIO(newline="")
    assert write_jobs_csv(rows, file, bom=bom) == len(rows)
    return file.getvalue()


def read_back(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_the_table_has_a_header_and_a_line_for_each_job() -> None:
    text = written(
        row(entry_id="e1", size=12, attachments=["a.pdf", "b.pdf"], to='"X, Y" <x@example.org>'),
        row(entry_id="e2", last_reply="550 no\nsuch user", subject="Grüße"),
    )
    head, first, second = (dict(zip(JOB_COLUMNS, line, strict=True)) for line in read_back(text))
    assert list(head.values()) == list(JOB_COLUMNS)
    assert first["size"] == "12"
    assert first["attachments"] == "a.pdf; b.pdf"
    assert first["to"] == '"X, Y" <x@example.org>'
    assert first["subject"] == ""
    assert second["last_reply"] == "550 no\nsuch user"
    assert second["subject"] == "Grüße"


def test_the_mark_for_excel_comes_first_and_only_if_wanted() -> None:
    assert written(bom=True).startswith("\ufeffentry_id,")
    assert written().startswith("entry_id,")


@pytest.mark.parametrize(
    "value",
    [
        "=1+1",
        "+49 30 1234",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\tplain",
        "\rplain",
        "  =1+1",
        '"=1+1',
        "＝1+1",
        "=cmd|' /C calc'!A0",
    ],
)
def test_no_cell_is_a_formula(value: str) -> None:
    assert cell(value).startswith("'")
    assert cell(value).endswith(value.lstrip("\t"))


def test_what_is_no_formula_stays_as_it_is() -> None:
    for value in ("Ada", "a=b", "a-b@example.org", "Ada; Bob", "; ", "1 - 1", "<a@b>", "it's", ""):
        assert cell(value) == value
    assert (cell(None), cell(0), cell(250), cell([])) == ("", "0", "250", "")


def test_a_sheet_set_to_semicolons_sees_no_formula_either() -> None:
    assert cell("hello;=1+1") == "hello;'=1+1"
    assert cell('x;"=1+1"') == 'x;\'"=1+1"'
    assert cell(["a.pdf", "=b.pdf"]) == "a.pdf;' =b.pdf"


FORMULA_LIKE = st.text(st.sampled_from("=+-@;,\t\r\n \"'aä"), max_size=12)


@given(st.lists(FORMULA_LIKE, min_size=1, max_size=3))
def test_however_the_file_is_split_no_cell_begins_as_a_formula(values: list[str]) -> None:
    text = written(*(row(subject=value, to=value) for value in values))
    for delimiter in (",", ";", "\t"):
        for line in read_back(text, delimiter):
            for found in line:
                assert not found.lstrip(" \t\r\n").startswith(("=", "+", "-", "@"))
    subjects = [line[JOB_COLUMNS.index("subject")] for line in read_back(text)[1:]]
    assert [each.replace("'", "") for each in subjects] == [v.replace("'", "") for v in values]


def test_long_runs_of_blanks_take_no_time() -> None:
    began = time.process_time()
    for run in ("\n" * 100_000, "; " * 50_000, '"' * 100_000):
        cell(run + "x")
    assert time.process_time() - began < 1


# -- in words


def report(**values: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "generated_at": NOW.isoformat(),
        "campaign": {
            "name": "Spring",
            "external_id": "spring",
            "version_number": 2,
            "mode": "send",
        },
        "cards": cards([group(send=SendStatus.SENT, count=1200), group(count=34)]),
        "imap": every(ImapStatus, {}),
        "copies_held": None,
        "recent_failures": [],
        "rate_limit": left(waiting=0),
    }
    return base | values


def test_the_summary_says_what_was_sent() -> None:
    text = summary_text(report())
    assert "Spring (spring)" in text
    assert "2026-03-01 12:00 UTC" in text
    assert "1,200 of 1,234 messages sent." in text
    assert "ready to send" in text
    assert "In doubt:" not in text
    assert "failures" not in text
    assert "pace" not in text


def test_the_summary_explains_doubt_and_names_failures() -> None:
    failure = {
        "entry": "e7",
        "to": "Bob <bob@example.org>",
        "send_status": "failed",
        "code": 550,
        "reply": "5.1.1 no\nsuch user",
        "error": None,
    }
    text = summary_text(
        report(
            cards=cards([group(send=SendStatus.IN_DOUBT)]),
            recent_failures=[failure, failure | {"code": None, "reply": None, "error": "lost"}],
            imap=every(ImapStatus, {ImapStatus.FAILED: 3}),
            copies_held={"until": "2026-03-01T12:05:00+00:00", "reason": "No such folder."},
            rate_limit=left(),
        )
    )
    assert "held back: No such folder. Tried again at 2026-03-01 12:05 UTC." in text
    assert "In doubt: 1 message." in text
    assert IN_DOUBT_EXPLANATION in text
    assert "e7 (Bob <bob@example.org>), failed: 550 5.1.1 no such user" in text
    assert "failed: lost" in text
    assert "3 failed" in text
    assert "sent by 2026-03-01 12:03 UTC" in text
