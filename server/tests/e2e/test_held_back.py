"""What the commands say where something keeps the letters from leaving."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.e2e.desk import Desk, letter


def _change(desk: Desk, sql: str) -> None:
    """What somebody does by the API."""
    with closing(sqlite3.connect(desk.database)) as connection:
        connection.execute(sql)
        connection.commit()


def _pause(desk: Desk) -> None:
    _change(
        desk,
        "UPDATE campaigns SET paused_at = '2026-03-02 12:00:00.000000', paused_by = 'Bea', "
        "pause_reason = 'Wrong figures.'",
    )


def test_a_dry_run_of_queueing_says_what_would_refuse_it(desk: Desk) -> None:
    desk.write(letter())
    imported = desk.run("import_campaign", "--campaign", "campaign.json", "--build", "--json")
    queue = ["queue_campaign", "--campaign-id", imported.json["campaign_id"]]
    assert desk.run(*queue, "--dry-run").code == 0
    _change(desk, "UPDATE campaigns SET approval = 'two_person'")
    refused = desk.run(*queue)
    assert refused.code == 2
    rehearsed = desk.run(*queue, "--dry-run")
    assert rehearsed.code == 1
    assert "has to be approved before it is queued" in rehearsed.out
    told = desk.run(*queue, "--dry-run", "--json")
    assert told.code == 1
    (objection,) = told.json["would_be_refused"]
    assert objection["detail"] in refused.err
    assert told.json["queued"] == 1


def test_a_paused_campaign_says_so_and_not_that_nothing_was_due(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    _pause(desk)
    one = ["--campaign-id", campaign_id]
    queued = desk.run("queue_campaign", *one, "--dry-run")
    assert "paused by Bea" in queued.out
    rehearsed = desk.run("send_queued_jobs", *one, "--dry-run")
    assert "1 of 1 letter that is due would not be sent now;" in rehearsed.out
    assert "would be sent" not in rehearsed.out
    sent = desk.run("send_queued_jobs", *one)
    assert sent.code == rehearsed.code == 1
    assert "Wrong figures." in sent.out
    assert "Nothing was tried." in sent.out
    assert "was due" not in sent.out
    assert "1 letter still waits." in sent.out
