"""Secrets show nowhere, whatever goes wrong; what is kept is for its owner alone."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, letter
from tests.e2e.scratch import Done
from tests.integration.adapters.hostile import imap, once, serving, smtp

CANARY = "Canary7Q"
SMTP, IMAP, ZIP = f"smtp{CANARY}", f"imap{CANARY}", f"zip{CANARY}"
PIN, GLOBAL, DEFAULT, CELL = f"pin{CANARY}", f"global{CANARY}", f"default{CANARY}", f"cell{CANARY}"
MASTER = base64.b64encode(b"m" * 32).decode()
OTHER_MASTER = base64.b64encode(b"o" * 32).decode()


def campaign(smtp_port: int, imap_port: int, **parts: Any) -> dict[str, Any]:
    """A campaign with a secret in every place that may hold one; no letter shows any."""
    return letter(
        fields=[
            {"name": "name"},
            {"name": "pin", "type": "secret"},
            {"name": "code", "type": "secret", "pattern": "[a-zA-Z0-9]+", "default": DEFAULT},
            {"name": "seal", "type": "secret", "scope": "global"},
        ],
        global_values={"seal": GLOBAL},
        server={
            "smtp": {
                "host": "127.0.0.1",
                "port": smtp_port,
                "security": "plain",
                "username": "office",
                "password": SMTP,
            },
            "imap": {
                "host": "127.0.0.1",
                "port": imap_port,
                "security": "plain",
                "username": "office",
                "password": IMAP,
            },
        },
        attachments={
            "base_path": "files",
            "global": [{"file_filter": "*.pdf"}],
            "zip": {"enabled": True, "password": f"{ZIP}-${{pin}}-${{seal}}"},
        },
        entries={
            "source": {"path": "members.csv"},
            "inline": [
                {"id": "one", "to": ["ada@example.org"], "values": {"name": "Ada", "pin": PIN}}
            ],
        },
        validation_policy={"shared_file": "warn"},
        delivery={"imap_append_sent": {"enabled": True}},
        **parts,
    )


def put(desk: Desk, made: dict[str, Any]) -> None:
    desk.write(made)
    (desk.folder / "files").mkdir(exist_ok=True)
    (desk.folder / "files/card.pdf").write_bytes(b"%PDF-")
    (desk.folder / "members.csv").write_text(f"id;to;name;pin\ntwo;bob@example.org;Bob;{CELL}\n")


def _kept(desk: Desk) -> Iterator[tuple[str, bytes]]:
    """Everything that commands left in the folder, but what was there before."""
    for path in desk.folder.rglob("*"):
        if path.is_file() and path.name not in ("campaign.json", "members.csv"):
            yield str(path.relative_to(desk.folder)), path.read_bytes()


class Watched:
    """Runs commands and looks at each one's words."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, *command: str, codes: tuple[int, ...] = (0,), **env: str) -> Done:
        done = self._desk.run(*command, powerless=False, **{"MASTER_KEY_B64": MASTER, **env})
        assert done.code in codes, done
        for secret in (CANARY, MASTER, OTHER_MASTER, _encoded(SMTP), _encoded(IMAP)):
            assert secret not in done.out + done.err, done
        assert "Traceback" not in done.err, done
        return done


def _encoded(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode().rstrip("=")


def test_secrets_show_nowhere_and_what_is_kept_is_private(desk: Desk) -> None:
    run = Watched(desk)
    # Both servers repeat what they refuse, as some do.
    refuse = once(f"535 5.7.8 no {SMTP} {_encoded(SMTP)}=\r\n".encode())
    deny = once(f"TAG NO no login for {IMAP}\r\n".encode())
    with (
        serving(smtp({"AUTH": refuse})) as refusing,
        serving(smtp({"AUTH": once(b"235 welcome\r\n")})) as taking,
        serving(imap({"AUTHENTICATE": deny, "LOGIN": deny})) as denying,
    ):
        put(desk, campaign(refusing, denying))
        file = ("--campaign", "campaign.json")
        for more in ((), ("--json",)):
            run("validate_campaign", "--check-files", "--verbose", *file, *more)
            run("resolve_attachments", "--verbose", *file, *more)
            run("build_messages", "--output-dir", "built/letters", "--verbose", *file, *more)
            to = ("--to", "me@example.org")
            run("send_test_message", *file, *to, *more, codes=(1,))
            run("send_test_message", *file, *to, "--dry-run", "--write-eml", "built/one.eml", *more)
        imported = run("import_campaign", *file, "--validate", "--build", "--json").json
        one = ("--campaign-id", imported["campaign_id"])
        run("queue_campaign", *one)
        run("send_queued_jobs", *one, codes=(1,))
        run("send_queued_jobs", *one, "--json", codes=(1,))
        run("send_queued_jobs", *one, codes=(2,), MASTER_KEY_B64=OTHER_MASTER)
        run("send_queued_jobs", *one, codes=(2,), MASTER_KEY_B64=f"{CANARY}==")
        run("email_campaign_report", *one, "--to", "me@example.org", codes=(2,))
        sent = run(
            *("send_queued_jobs", *one, "--append-sent"),
            codes=(1,),
            MULTIMAILER_SMTP_HOST="127.0.0.1",
            MULTIMAILER_SMTP_PORT=str(taking),
            MULTIMAILER_SMTP_PASSWORD=f"env{CANARY}",
        )
        assert "2 sent" in sent.out
        run("append_pending_sent", *one, "--json", codes=(1,))
        for more in ((), ("--json",)):
            run("campaign_report", *one, "--include-jobs", *more)
            run("review_jobs", *one, *more)
            run("audit_log", *more)
            run("list_db_campaigns", *more)
        run("campaign_report", *one, "--jobs-csv", "built/jobs.csv", "--rest-csv", "built/rest.csv")
        run("export_evidence", *one, "--messages", "--output", "built/evidence.zip")
        run("verify_evidence", "built/evidence.zip")
        run("verify_audit")
        run("audit_log", codes=(2,), MULTIMAILER_API_KEY=f"key{CANARY}")
        run("audit_log", codes=(2,), DATABASE_URL=f"postgresql://u:{CANARY}@127.0.0.1:9/mm")
    for name, data in _kept(desk):
        assert CANARY.encode() not in data, name
        assert _encoded(SMTP).encode() not in data, name
        assert MASTER.encode() not in data, name
    for top in ("var", "built"):
        for path in (desk.folder / top, *(desk.folder / top).rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_new_key_is_shown_once_and_stored_nowhere(desk: Desk) -> None:
    done = desk.run("init_db", "--new-key", "Office")
    key = next(word for word in done.out.split() if word.startswith("mm_"))
    assert desk.run("audit_log", MULTIMAILER_API_KEY=key).code == 0
    assert key not in desk.run("audit_log", "--json").out
    for name, data in _kept(desk):
        assert key.encode() not in data, name


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": {"smtp": {"host": "h", "password": [PIN]}}},
        {"server": {"smtp": {"host": "h", "password": {"x": PIN}}}},
        {"server": {"smtp": f"office:{PIN}@mail.example.org"}},
        {"server": {"smtp": {"host": f"office:{PIN}@mail.example.org"}}},
        {"server": {"smtp": {"host": "h", "username": "u", "password": f"{PIN}\r\nx"}}},
        {"attachments": {"zip": {"enabled": True, "password": f"{PIN}${{nope}}${{"}}},
        {"attachments": {"zip": {"enabled": True, "password": [PIN]}}},
        {"fields": [{"name": "pin", "type": "secret", "pattern": "[0-9]{4}", "default": PIN}]},
        {"fields": [{"name": "pin", "type": "secret"}], "global_values": {"pin": PIN}},
        {
            "fields": [{"name": "pin", "type": "secret", "pattern": "[0-9]{4}"}],
            "entries": {"inline": [{"id": "a", "to": ["a@b.org"], "values": {"pin": PIN}}]},
        },
        {
            "fields": [{"name": "pin", "type": "secret"}],
            "entries": {"inline": [{"id": "a", "to": ["${pin}"], "values": {"pin": PIN}}]},
        },
        {
            "fields": [{"name": "pin", "type": "secret"}],
            "template": {"subject": "${pin}", "text": "x"},
            "entries": {
                "inline": [{"id": "a", "to": ["a@b.org"], "values": {"pin": f"{PIN}\n{PIN}"}}]
            },
        },
        {
            "fields": [{"name": "pin", "type": "secret"}],
            "attachments": {
                "global": [{"file_filter": "${pin}", "base_dir": "../${pin}", "filename": "${pin}"}]
            },
            "entries": {"inline": [{"id": "a", "to": ["a@b.org"], "values": {"pin": PIN}}]},
        },
    ],
    ids=lambda wrong: ascii(sorted(wrong))[:40],
)
def test_no_complaint_repeats_a_secret(desk: Desk, wrong: dict[str, Any]) -> None:
    run = Watched(desk)
    desk.write(letter(**{"fields": [], "template": {"subject": "x", "text": "x"}, **wrong}))
    for more in ((), ("--json",)):
        for command in ("validate_campaign", "build_messages"):
            run(command, "--campaign", "campaign.json", "--verbose", *more, codes=(0, 1))
        run("import_campaign", "--campaign", "campaign.json", "--build", *more, codes=(0, 1))
    one = desk.values("SELECT id FROM campaigns")
    for campaign_id in one:
        run("campaign_report", "--campaign-id", str(campaign_id), "--include-jobs", "--json")
        run("review_jobs", "--campaign-id", str(campaign_id), "--json", codes=(0, 2))


def test_files_stay_private_whatever_the_umask(desk: Desk) -> None:
    before = os.umask(0)
    try:
        test_a_new_key_is_shown_once_and_stored_nowhere(desk)
    finally:
        os.umask(before)
    for path in Path(desk.folder / "var").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path
