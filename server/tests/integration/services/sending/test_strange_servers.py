"""Servers that talk too much or in no language, and messages of unusual measure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from app.mailer.domain.delivery.job import SendStatus
from tests.integration.services.sending.house import House, letter, people, recipients
from tests.servers.smtp import Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]

_LONG = b"".join(b"%d-" + b"x" * 5_000 + b"\r\n" for _ in range(90))


@pytest.mark.parametrize(
    ("step", "code", "status"),
    [
        ("RCPT", 550, SendStatus.FAILED),
        ("DOT", 554, SendStatus.FAILED),
        ("DOT", 451, SendStatus.DEFERRED),
        ("DOT", 250, SendStatus.SENT),
        ("DOT", 535, SendStatus.DEFERRED),
    ],
)
def test_of_a_long_answer_the_beginning_is_kept(
    house: House, start_smtp: StartSmtp, step: str, code: int, status: SendStatus
) -> None:
    lines = _LONG.replace(b"%d", b"%d" % code)
    server = start_smtp(script={step: [Act(lines + b"%d end\r\n" % code, keep=code == 250)]})
    campaign = house.queued(letter(server.port))
    report = house.send(campaign)
    assert report.outcomes == {status: 1}
    assert len(report.stopped or "") < 1_000
    (job,) = house.jobs(campaign)
    (attempt,) = house.attempts(job)
    for kept in (job.last_reply, attempt.reply):
        assert kept is not None
        assert kept.startswith("xxx")
        assert len(kept) == 1_000
    assert all(len(each["text"]) <= 1_000 for each in attempt.recipient_replies or ())
    assert len(job.last_error or "") < 1_000


def test_an_answer_of_zeros_and_no_text_is_stored(house: House, start_smtp: StartSmtp) -> None:
    strange = b"\x00\xff\x1b[2J caf\xe9"
    server = start_smtp(
        script={
            "RCPT": [b"550 5.1.1 " + strange + b"\r\n"],
            "DOT": [Act(b"250 2.0.0 " + strange + b"\r\n", keep=True)],
        }
    )
    campaign = house.queued(letter(server.port, 2))
    assert house.send(campaign).outcomes == {SendStatus.FAILED: 1, SendStatus.SENT: 1}
    failed, sent = house.jobs(campaign)
    for kept in (failed.last_reply, sent.last_reply):
        assert kept is not None
        assert "caf" in kept
        assert not {"\0", "\x1b"} & set(kept)


def test_five_hundred_blind_copies(sqlite_house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp()
    blind = [f"b{n}@example.org" for n in range(500)]
    entry = {"id": "e", "to": ["p0@example.org"], "bcc": blind}
    campaign = sqlite_house.queued(letter(server.port, entries={"inline": [entry]}))
    assert sqlite_house.send(campaign).outcomes == {SendStatus.SENT: 1}
    (message,) = server.messages
    assert message.recipients == ("p0@example.org", *blind)
    (job,) = sqlite_house.jobs(campaign)
    (attempt,) = sqlite_house.attempts(job)
    assert attempt.recipient_replies is not None
    assert len(attempt.recipient_replies) == 501


def test_a_large_file_for_all_over_several_connections(
    sqlite_house: House, start_smtp: StartSmtp
) -> None:
    house = sqlite_house
    (house.folder / "files").mkdir()
    (house.folder / "files" / "card.pdf").write_bytes(os.urandom(12_000_000))
    server = start_smtp()
    campaign = house.queued(
        letter(
            server.port,
            4,
            delivery={"rate_limit": {"concurrency": 2}},
            attachments={"base_path": "files", "global": [{"file_filter": "card.pdf"}]},
        )
    )
    assert house.send(campaign).outcomes == {SendStatus.SENT: 4}
    assert recipients(server) == people(4)
    assert {len(message.data) for message in server.messages} == {
        job.size for job in house.jobs(campaign)
    }


def test_a_journal_folder_that_vanishes_stops_the_run(house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp()
    campaign = house.queued(letter(server.port, 3))
    house.on_done = lambda _job, _status: shutil.rmtree(house.journals)
    report = house.send(campaign)
    assert report.stopped is not None
    assert "journal" in report.stopped
    assert "JOURNAL_DIR" in report.hint
    # The answer to the first was recorded; without a journal no other dot left.
    assert house.statuses(campaign) == ["sent", "queued", "queued"]
    house.on_done = lambda _job, _status: None
    assert house.send(campaign).outcomes == {SendStatus.SENT: 2}
    assert recipients(server) == people(3)
