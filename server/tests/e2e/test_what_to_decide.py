"""What only a person can settle is shown where the person looks, with all that is needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from tests.e2e.desk import Desk, letter
from tests.servers.smtp import KEEP_AND_DROP, SmtpServer


def _sent(desk: Desk, server: SmtpServer) -> str:
    entries = [{"id": f"00{n}", "to": [f"p{n}@example.org"]} for n in range(3)]
    campaign = desk.imported(
        letter(
            server={"smtp": {"host": "127.0.0.1", "port": server.port, "security": "plain"}},
            fields=[],
            template={"subject": "Hello", "text": "Hello"},
            entries={"inline": entries},
        )
    )
    assert desk.run("send_queued_jobs", "--campaign-id", campaign).code == 1
    return campaign


def test_review_lists_what_is_in_doubt_and_what_failed(
    desk: Desk, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [KEEP_AND_DROP, "554 5.7.1 no such letters", None]})
    campaign = _sent(desk, server)
    ids = {
        entry: desk.values(f"SELECT message_id FROM jobs WHERE entry_id = '{entry}'")[0]
        for entry in ("000", "001")
    }

    listed = desk.run("review_jobs", "--campaign-id", campaign, "--json").json
    assert (listed["undecided"], listed["reviews"], listed["other_versions"]) == (0, [], [])
    (doubtful,) = listed["in_doubt"]
    assert (doubtful["entry"], doubtful["to"]) == ("000", "p0@example.org")
    assert doubtful["message_id"] == ids["000"]
    (failed,) = listed["failed"]
    assert (failed["entry"], failed["code"]) == ("001", 554)
    assert failed["reply"] == "5.7.1 no such letters"

    shown = desk.run("review_jobs", "--campaign-id", campaign, COLUMNS="140").out
    assert "1 in doubt" in shown
    assert ids["000"] in shown
    assert "--assume-sent or --resend" in shown
    assert "1 failed" in shown
    assert "554 5.7.1 no such letters" in shown
    assert "p2@example.org" not in shown

    assert ids["000"] in desk.run("campaign_report", "--campaign-id", campaign, COLUMNS="140").out
    narrow = desk.run("campaign_report", "--campaign-id", campaign, COLUMNS="60").out
    assert f"Message-ID: {ids['000']}" in narrow

    for option, entry in (("--assume-sent", "000"), ("--retry", "001")):
        decided = desk.run(
            *("review_jobs", "--campaign-id", campaign, "--entry", entry, option),
            *("--reason", "asked them"),
        )
        assert decided.code == 0, decided
    after = desk.run("review_jobs", "--campaign-id", campaign)
    assert "Nothing waits for a decision." in after.out


def test_another_versions_are_pointed_to(desk: Desk, start_smtp: Callable[..., SmtpServer]) -> None:
    server = start_smtp(script={"DOT": [KEEP_AND_DROP, "554 5.7.1 no such letters", None]})
    campaign = _sent(desk, server)
    done = desk.run("import_campaign", "--campaign", "campaign.json", "--build")
    assert done.code == 0, done
    listed = desk.run("review_jobs", "--campaign-id", campaign, "--json").json
    assert (listed["in_doubt"], listed["failed"]) == ([], [])
    (first,) = listed["other_versions"]
    assert (first["number"], first["in_doubt"], first["failed"]) == (1, 1, 1)
    shown = desk.run("review_jobs", "--campaign-id", campaign).out
    assert f"--version-id {first['id']}" in shown
    old = desk.run("review_jobs", "--campaign-id", campaign, "--version-id", first["id"], "--json")
    assert [each["entry"] for each in old.json["in_doubt"]] == ["000"]


def test_a_paused_campaign_says_by_whom_and_why(desk: Desk, smtp_server: SmtpServer) -> None:
    campaign = desk.imported(
        letter(
            server={"smtp": {"host": "127.0.0.1", "port": smtp_server.port, "security": "plain"}},
            fields=[],
            template={"subject": "Hello", "text": "Hello"},
            entries={"inline": [{"id": "000", "to": ["p0@example.org"]}]},
        )
    )
    with closing(sqlite3.connect(desk.database)) as connection:
        connection.execute(
            "UPDATE campaigns SET paused_at = '2026-03-02 12:00:00.000000', paused_by = 'Ada', "
            "pause_reason = 'Wrong figures.'"
        )
        connection.commit()
    done = desk.run("send_queued_jobs", "--campaign-id", campaign)
    assert done.code == 1, done
    assert "paused by Ada" in done.out
    assert "Wrong figures." in done.out
    assert smtp_server.messages == []
