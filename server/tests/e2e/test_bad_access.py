"""Wrong options, ids, keys and settings: exit code 2, error and remedy, nothing changed."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.access.keys import create_api_key
from app.access.scopes import Scope
from app.db.repositories.access import tenant_by_slug
from app.db.session import make_engine, session_factory
from tests.e2e.desk import Desk, letter
from tests.e2e.scratch import KEY, Done

_ID = "0b5e1c1e-7f6c-4d0e-9d43-0a6d1f1b7a10"
_MASTER_KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
_WITH_ID = [
    "queue_campaign",
    "send_queued_jobs",
    "append_pending_sent",
    "campaign_report",
    "email_campaign_report",
    "review_jobs",
]
_MORE = {"email_campaign_report": ["--to", "boss@example.org"]}


def _refused(done: Done, *wanted: str) -> None:
    """Exit code 2, and one JSON object alone on standard output that names fault and remedy."""
    assert done.code == 2, done
    assert done.err == "", done
    said = f"{done.json['error']}\n{done.json['hint']}"
    assert done.json["hint"], said
    assert [text for text in wanted if text not in said] == [], said


# -- ids


@pytest.mark.parametrize("command", _WITH_ID)
def test_a_campaign_that_does_not_exist(desk: Desk, command: str) -> None:
    rows = desk.rows()
    done = desk.run(command, "--campaign-id", _ID, *_MORE.get(command, []), "--json")
    _refused(done, _ID, "list of campaigns")
    assert desk.rows() == rows


@pytest.mark.parametrize("bad", ["7", "", f"{_ID}0", "' OR 1=1 --", "[red]x[/]"])
def test_an_id_that_is_none(desk: Desk, bad: str) -> None:
    done = desk.run("campaign_report", "--campaign-id", bad, "--json")
    _refused(done, "--campaign-id", f"“{bad}”")
    shown = desk.run("campaign_report", "--campaign-id", bad)
    assert shown.code == 2
    assert f"“{bad}” is not an id." in shown.err
    assert shown.out == ""


def test_a_version_that_does_not_exist(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    for command in ("queue_campaign", "campaign_report", "review_jobs"):
        done = desk.run(command, "--campaign-id", campaign_id, "--version-id", _ID, "--json")
        _refused(done, _ID)


# -- keys


def _new_key(desk: Desk, *scopes: str, expires_at: datetime | None = None) -> str:
    engine = make_engine(f"sqlite:///{desk.database}")
    with session_factory(engine)() as session:
        tenant = tenant_by_slug(session, "default")
        assert tenant is not None
        key = create_api_key(
            session, tenant.id, "Test", scopes, datetime.now(UTC), expires_at=expires_at
        )
        session.commit()
    engine.dispose()
    return key.secret


@pytest.mark.parametrize("command", ["list_db_campaigns", "audit_log"])
def test_a_wrong_key_is_refused_and_not_repeated(desk: Desk, command: str) -> None:
    rows = desk.rows()
    for key in ("mm_wrong-key-1234", "x" * 10_000, "kéy"):
        done = desk.run(command, "--api-key", key, "--json")
        _refused(done, "not valid", "revoked")
        assert key not in done.out
    assert desk.rows() == rows


def test_a_key_that_was_revoked_or_expired(desk: Desk) -> None:
    revoked = _new_key(desk, Scope.EVERYTHING)
    assert desk.run("list_db_campaigns", "--api-key", revoked).code == 0
    with closing(sqlite3.connect(desk.database)) as connection, connection:
        connection.execute("UPDATE api_keys SET revoked_at = created_at WHERE name = 'Test'")
    _refused(desk.run("list_db_campaigns", "--api-key", revoked, "--json"), "not valid")
    expired = _new_key(desk, Scope.EVERYTHING, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    _refused(desk.run("list_db_campaigns", "--api-key", expired, "--json"), "not valid")


def test_a_key_without_the_scope(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    reader = _new_key(desk, Scope.CAMPAIGN_READ)
    rows = desk.rows()
    forbidden = {
        ("queue_campaign", "--campaign-id", campaign_id): "campaign:send",
        ("send_queued_jobs", "--campaign-id", campaign_id): "campaign:send",
        ("append_pending_sent", "--campaign-id", campaign_id): "campaign:send",
        ("email_campaign_report", "--campaign-id", campaign_id, "--to", "a@example.org"): (
            "reports:send"
        ),
        ("import_campaign", "--campaign", "campaign.json"): "campaign:write",
        ("audit_log",): "audit:read",
    }
    for command, scope in forbidden.items():
        _refused(desk.run(*command, "--api-key", reader, "--json"), scope)
    assert desk.rows() == rows
    assert desk.run("campaign_report", "--campaign-id", campaign_id, "--api-key", reader).code == 0


def test_the_development_key_is_worth_nothing_elsewhere(desk: Desk) -> None:
    done = desk.run("list_db_campaigns", "--json", APP_ENV="production", MASTER_KEY_B64=_MASTER_KEY)
    _refused(done, "not valid")


# -- the database and the settings


def test_no_database_yet(desk: Desk) -> None:
    shutil.rmtree(desk.database.parent)
    for command in (["list_db_campaigns"], ["campaign_report", "--campaign-id", _ID]):
        _refused(desk.run(*command, "--json"), str(desk.database), "init_db")
    assert not desk.database.parent.exists()


def test_a_database_without_tables(desk: Desk) -> None:
    shutil.rmtree(desk.database.parent)
    desk.database.parent.mkdir()
    desk.database.touch()
    _refused(desk.run("list_db_campaigns", "--json"), "tables", "init_db")


def test_a_file_that_is_no_database(desk: Desk) -> None:
    shutil.rmtree(desk.database.parent)
    desk.database.parent.mkdir()
    desk.database.write_bytes(b"no database at all" * 100)
    _refused(desk.run("list_db_campaigns", "--json"), "not a database", "DATABASE_URL")
    assert desk.run("init_db").code == 2
    assert desk.database.read_bytes().startswith(b"no database")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("nonsense", "must begin with sqlite:///"),
        ("mysql://u:hunter2@localhost/x", "must begin with sqlite:///"),
        ("sqlite://", "needs the path of a file"),
        ("postgresql://u:hunter2@localhost", "names no database"),
        ("postgresql://u:hunter2@127.0.0.1:1/mm", "cannot be used"),
        ("postgresql://u:hunter2@127.0.0.1:port/mm", "port"),
        ("sqlite:////proc/none/x.db", "/proc/none/x.db"),
    ],
)
def test_a_database_url_that_is_of_no_use(desk: Desk, url: str, wanted: str) -> None:
    for command in (["list_db_campaigns", "--json"], ["init_db"]):
        done = desk.run(*command, DATABASE_URL=url)
        assert done.code == 2, done
        assert wanted in done.out + done.err
        assert "DATABASE_URL" in done.out + done.err or "init_db" in done.out
        assert "hunter2" not in done.out + done.err
        assert "Traceback" not in done.err


def test_production_without_a_key_of_its_own(desk: Desk) -> None:
    done = desk.run("list_db_campaigns", "--json", APP_ENV="production")
    _refused(done, "MASTER_KEY_B64", "APP_ENV=production")
    _refused(desk.run("list_db_campaigns", "--json", APP_ENV="prod"), "APP_ENV", "'prod'")


def test_production_works_with_a_key_made_for_it(desk: Desk) -> None:
    shutil.rmtree(desk.database.parent)
    env = {"APP_ENV": "production", "MASTER_KEY_B64": _MASTER_KEY}
    made = desk.run("init_db", "--new-key", "Office", **env)
    assert made.code == 0, made
    (key,) = re.findall(r"mm_[\w-]+", made.out)
    assert desk.run("list_db_campaigns", "--api-key", key, **env).code == 0


def test_development_data_is_refused_in_production_before_anything_is_made(desk: Desk) -> None:
    shutil.rmtree(desk.database.parent)
    done = desk.run("init_db", "--with-dev-data", APP_ENV="production", MASTER_KEY_B64=_MASTER_KEY)
    assert done.code == 2
    assert "APP_ENV=dev" in done.err
    assert not desk.database.exists()


def test_a_blob_folder_that_cannot_be_written(desk: Desk) -> None:
    desk.write(letter())
    (desk.folder / "closed").mkdir(mode=0o555)
    done = desk.run(
        "import_campaign",
        *["--campaign", "campaign.json", "--build", "--json"],
        powerless=True,
        BLOB_DIR=str(desk.folder / "closed/blobs"),
    )
    _refused(done, "closed/blobs")
    assert desk.rows()["jobs"] == 0


# -- options


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["validate_campaign"], "--campaign"),
        (["campaign_report"], "--campaign-id"),
        (["email_campaign_report", "--campaign-id", _ID], "--to"),
        (["list_db_campaigns", "--colour"], "--colour"),
        (["list_db_campaigns", "more"], "more"),
        (["validate_campaign", "campaign.json"], "campaign"),
        (["send_queued_jobs", "--campaign-id", _ID, "--limit", "0"], "--limit"),
        (["send_queued_jobs", "--campaign-id", _ID, "--limit", "many"], "--limit"),
        (["audit_log", "--limit", "-1"], "--limit"),
        (
            ["send_test_message", "--campaign", "x", "--to", "x", "--smtp-port", "99999"],
            "--smtp-port",
        ),
        (["send_test_message", "--campaign", "x", "--to", "x", "--smtp-security", "ssl"], "ssl"),
    ],
)
def test_options_that_are_wrong(desk: Desk, command: list[str], said: str) -> None:
    done = desk.run(*command)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err
    for_programs = desk.run(*command, "--json")
    assert for_programs.code == 2
    assert for_programs.json["hint"]


def test_a_key_is_needed(desk: Desk) -> None:
    done = desk.run("list_db_campaigns", MULTIMAILER_API_KEY="")
    assert done.code == 2, done
    assert "Traceback" not in done.err


@pytest.mark.parametrize("to", ["", "nobody", "a@b@c", "a@example.org\nBcc: eve@example.org"])
def test_an_address_that_is_none(desk: Desk, to: str) -> None:
    desk.write(letter())
    done = desk.run(
        *["send_test_message", "--campaign", "campaign.json", "--dry-run", "--json", "--to", to]
    )
    _refused(done, "--to")


def test_an_entry_that_does_not_exist(desk: Desk) -> None:
    desk.write(letter())
    command = ["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"]
    done = desk.run(*command, "--dry-run", "--json", "--entry", "two")
    _refused(done, "“two”", "entries")


def test_decisions_that_are_incomplete(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    review = ["review_jobs", "--campaign-id", campaign_id, "--json"]
    _refused(desk.run(*review, "--accept", "--exclude", "--all"), "one decision")
    _refused(desk.run(*review, "--accept", "--reason", "x"), "--entry", "--all")
    rows = desk.rows()
    for more in (
        ["--accept", "--all"],
        ["--accept", "--entry", "nobody", "--reason", "x"],
        ["--accept", "--entry", "one", "--reason", " "],
        ["--exclude", "--code", "no-such-code", "--reason", "x"],
        ["--retry", "--entry", "one", "--reason", "x"],
    ):
        done = desk.run(*review, *more)
        assert done.code == 2, (more, done)
        assert done.err == ""
        assert done.json["error"]
    assert desk.rows() == rows


def test_a_draft_never_leaves(desk: Desk) -> None:
    desk.write(letter(campaign={"id": str(uuid4()), "name": "Draft", "mode": "draft"}))
    done = desk.run("import_campaign", "--campaign", "campaign.json", "--build", "--json")
    assert done.code == 0, done
    queued = desk.run("queue_campaign", "--campaign-id", done.json["campaign_id"], "--json")
    _refused(queued, "draft", "campaign.mode")


def test_what_is_not_built_cannot_be_queued(desk: Desk) -> None:
    desk.write(letter())
    done = desk.run("import_campaign", "--campaign", "campaign.json", "--json")
    queued = desk.run("queue_campaign", "--campaign-id", done.json["campaign_id"], "--json")
    _refused(queued, "not built")
    assert desk.rows()["jobs"] == 0


def test_the_key_never_shows(desk: Desk, tmp_path: Path) -> None:
    for command in (["list_db_campaigns", "--help"], ["audit_log"], ["list_db_campaigns"]):
        done = desk.run(*command)
        assert KEY not in done.out + done.err
