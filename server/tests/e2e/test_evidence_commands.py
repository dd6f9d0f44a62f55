"""The log and the evidence are proved, or what is wrong is named, as users do it."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing

from tests.e2e.desk import Desk, letter


def test_the_log_is_proved_until_somebody_changes_it(desk: Desk) -> None:
    desk.imported(letter())
    proved = desk.run("verify_audit", "--json")
    assert proved.code == 0, proved
    (log,) = proved.json["logs"]
    assert log["proved"]
    assert log["checked"] == len(desk.values("SELECT id FROM audit_entries"))
    assert desk.run("verify_audit", "--expect", log["head"]).code == 0
    everybody = desk.run("verify_audit", "--all-tenants", MULTIMAILER_API_KEY="")
    assert everybody.code == 0, everybody
    assert log["head"] in everybody.out

    with closing(sqlite3.connect(desk.database)) as connection:
        connection.execute("UPDATE audit_entries SET actor_name = 'Bob' WHERE sequence = 2")
        connection.commit()
    broken = desk.run("verify_audit")
    assert broken.code == 1, broken
    assert "Entry 2 breaks the log" in broken.out
    assert desk.run("verify_audit", "--json").json["logs"][0]["broken"]["sequence"] == 2


def test_wrong_use_is_told(desk: Desk) -> None:
    desk.imported(letter())
    for wrong in (["--expect", "x"], ["--all-tenants", "--expect", f"1:{'0' * 64}"]):
        done = desk.run("verify_audit", *wrong)
        assert done.code == 2, done
    assert desk.run("verify_audit", MULTIMAILER_API_KEY="").code == 2
    assert desk.run("verify_audit", MULTIMAILER_API_KEY="nobody's").code == 2
    assert desk.run("verify_evidence", "nowhere.zip").code == 2
    (desk.folder / "no.zip").write_bytes(b"no ZIP file")
    assert desk.run("verify_evidence", "no.zip").code == 1


def test_evidence_is_proved_without_a_database_until_somebody_changes_it(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    one = ("--campaign-id", campaign_id)
    done = desk.run("export_evidence", *one, "--output", "out/x.zip", "--messages", "--json")
    assert done.code == 0, done
    file = desk.folder / "out/x.zip"
    assert done.json["size"] == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0

    nowhere = "sqlite:///nowhere/none.db"
    proved = desk.run(
        "verify_evidence", "out/x.zip", "--json", DATABASE_URL=nowhere, MULTIMAILER_API_KEY=""
    )
    assert proved.code == 0, proved
    assert proved.json["manifest"]["campaign_id"] == campaign_id
    assert not (desk.folder / "nowhere").exists()
    said = desk.run("verify_evidence", "out/x.zip", DATABASE_URL=nowhere, MULTIMAILER_API_KEY="")
    assert "Proved" in said.out, said
    assert "Not checked here" in said.out
    recorded = desk.run("audit_log", "--action", "evidence.completed", "--json").json["entries"]
    assert recorded[0]["details"]["manifest_sha256"] == proved.json["manifest_sha256"]

    known = ("--manifest-sha256", proved.json["manifest_sha256"])
    compared = desk.run("verify_evidence", "out/x.zip", *known)
    assert compared.code == 0, compared
    assert "Not checked here" not in compared.out
    other = desk.run("verify_evidence", "out/x.zip", "--manifest-sha256", "0" * 64)
    assert other.code == 1, other
    assert "not the file that was exported" in " ".join(other.out.split())
    assert desk.run("verify_evidence", "out/x.zip", "--manifest-sha256", "0").code == 2

    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    broken = desk.run("verify_evidence", "out/x.zip")
    assert broken.code == 1, broken
    assert "Not proved" in broken.out
    unwritable = desk.run("export_evidence", *one, "--output", "campaign.json/x.zip")
    assert unwritable.code == 2, unwritable


def test_the_rest_is_written_as_a_source(desk: Desk) -> None:
    desk.write(letter())
    done = desk.run("import_campaign", "--campaign", "campaign.json", "--build", "--json")
    one = ("--campaign-id", done.json["campaign_id"])
    said = desk.run("campaign_report", *one, "--rest-csv", "rest.csv")
    assert said.code == 0, said
    text = (desk.folder / "rest.csv").read_text("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header[:2] == ["id", "to"]
    assert len(rows) == 1
    assert "1 rows" in said.out
    assert "--no-guard" in said.out
    plain = desk.run("campaign_report", *one, "--rest-csv", "plain.csv", "--no-guard")
    assert plain.code == 0, plain
    assert "--no-guard" not in plain.out
