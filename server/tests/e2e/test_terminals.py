"""The commands in terminals of every kind: help, colours, width, encodings, closed pipes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.desk import Desk, letter
from tests.e2e.scratch import KEY, shell

_FILE = ["--campaign"]
_DATABASE = ["--api-key"]
_ONE = ["--campaign-id", "--api-key"]
#: Every command, and the options that users know.
_OPTIONS = {
    "init_db": ["--with-dev-data"],
    "validate_campaign": [*_FILE, "--check-files", "--json"],
    "resolve_attachments": [*_FILE, "--verbose", "--json"],
    "build_messages": [*_FILE, "--output-dir", "--verbose", "--json"],
    "send_test_message": [
        *_FILE,
        *["--to", "--dry-run", "--write-eml", "--smtp-host", "--smtp-port", "--smtp-security"],
        "--smtp-username",
    ],
    "import_campaign": [*_FILE, *_DATABASE, "--validate", "--build"],
    "list_db_campaigns": _DATABASE,
    "queue_campaign": [
        *_ONE,
        *["--no-celery", "--dry-run", "--exclude-warnings", "--version-id", "--json"],
        *["--sample", "--random-sample", "--seed", "--entry", "--not-before"],
    ],
    "send_queued_jobs": [
        *_ONE,
        *["--dry-run", "--limit", "--no-rate-limit", "--append-sent", "--json"],
    ],
    "append_pending_sent": [*_ONE, "--dry-run", "--limit", "--include-failed", "--json"],
    "campaign_report": [
        *_ONE,
        "--json",
        "--include-jobs",
        "--jobs-csv",
        "--rest-csv",
        "--no-guard",
        *["--watch", "--interval"],
    ],
    "email_campaign_report": [
        *_ONE,
        *["--to", "--dry-run", "--include-jobs", "--no-jobs-csv", "--attach-report-json"],
        "--json",
    ],
    "audit_log": [
        *_DATABASE,
        *["--action", "--object-type", "--object-id", "--limit", "--offset", "--json"],
    ],
    "rotate_master_key": ["--json"],
    "run_operations": ["--once", "--until-eof"],
    "run_delivery": ["--until-eof"],
    "verify_audit": [*_DATABASE, "--all-tenants", "--expect"],
    "export_evidence": [*_ONE, "--version-id", "--output", "--messages", "--json"],
    "verify_evidence": ["--json"],
    "review_jobs": [*_ONE, "--accept", "--exclude", "--reason", "--json"],
}


def test_there_are_these_commands_and_no_others() -> None:
    folder = Path(__file__).parents[2] / "app/mailer/commands"
    programs = {path.stem for path in folder.glob("*.py") if "__main__" in path.read_text("utf-8")}
    assert programs == set(_OPTIONS)


@pytest.mark.parametrize("command", _OPTIONS)
def test_help_names_every_option_and_changes_nothing(desk: Desk, command: str) -> None:
    files = desk.files()
    done = desk.run(command, "--help")
    assert done.code == 0, done
    assert done.err == ""
    assert [option for option in _OPTIONS[command] if f"{option} " not in done.out] == []
    assert "[ARGS]" not in done.out
    assert not re.search(r"--(json|dry-run|verbose|build) +<bool>", done.out)
    assert desk.files() == files


@pytest.mark.parametrize("env", [{"COLUMNS": "60"}, {"COLUMNS": "20"}, {"NO_COLOR": "1"}])
def test_ids_can_be_copied_from_every_list(desk: Desk, env: dict[str, str]) -> None:
    campaign_id = desk.imported(letter())
    done = desk.run("list_db_campaigns", **env)
    assert done.code == 0, done
    assert campaign_id in done.out
    for command in (["audit_log"], ["campaign_report", "--campaign-id", campaign_id]):
        shown = desk.run(*command, **env)
        assert shown.code == 0, shown
        assert "\x1b" not in shown.out
    assert campaign_id in desk.run("audit_log", **env).out


def test_a_line_is_never_broken(desk: Desk) -> None:
    name = "x" * 200
    desk.write(letter(campaign={"id": "long", "name": name, "mode": "send"}))
    done = desk.run("import_campaign", "--campaign", "campaign.json", COLUMNS="60")
    assert f"Imported {name}, version 1." in done.out


def test_names_cannot_steer_the_terminal(desk: Desk) -> None:
    name = "\x1b[31m[bold]x[/bold][link=http://evil.example]"
    desk.write(letter(campaign={"id": "steer", "name": name, "mode": "send"}))
    done = desk.run("import_campaign", "--campaign", "campaign.json")
    if done.code == 0:
        assert "[bold]x[/bold][link=http://evil.example]" in done.out
        assert "[bold]x[/bold]" in desk.run("list_db_campaigns", COLUMNS="200").out
    assert "\x1b" not in done.out
    assert "Traceback" not in done.err


# -- real processes, since these depend on how Python starts


def _env(desk: Desk) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{desk.database}",
        "BLOB_DIR": str(desk.folder / "var/blobs"),
        "MULTIMAILER_API_KEY": KEY,
    }


def test_a_terminal_without_unicode(desk: Desk) -> None:
    desk.write(letter(campaign={"id": "u", "name": "Größe “Æ” 日本", "mode": "send"}))
    server = desk.forge.server
    command = f"python -m app.mailer.commands.validate_campaign --campaign {desk.folder}/"
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = shell(f"{command}campaign.json", server, **env)
    assert done.code == 0, done
    assert "Gr\\xf6\\xdfe" in done.out
    assert done.out.isascii()
    absent = shell(f"{command}größe.json; {command}campaign.json --json", server, **env)
    assert "Traceback" not in absent.err
    assert "gr" in absent.err
    assert json.loads(absent.out)["campaign"]["name"] == "Größe “Æ” 日本"


def test_a_reader_that_has_seen_enough_does_not_stop_the_work(desk: Desk) -> None:
    desk.write(letter())
    server, env = desk.forge.server, _env(desk)
    python = "python -u -m app.mailer.commands."
    line = f"{python}import_campaign --campaign {desk.folder}/campaign.json --build"
    done = shell(f"{line} | head -0; {line} --json | head -0", server, **env)
    assert done.err == "", done
    assert desk.values("SELECT count(*) FROM jobs") == [2]
    assert desk.values("SELECT DISTINCT workflow_state FROM campaign_versions") == ["built"]
    listed = shell(f"{python}list_db_campaigns | head -1", server, **env)
    assert (listed.code, listed.err) == (0, ""), listed
