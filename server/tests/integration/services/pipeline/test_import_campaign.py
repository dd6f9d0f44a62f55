"""Importing a campaign file: versions, never twins; secrets sealed; all or nothing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.access.actor import Actor
from app.db.models import AuditEntry, Campaign, CampaignVersion
from app.mailer.domain.campaign.shape import read_shape
from app.mailer.domain.errors import AccessDenied, CampaignInvalid, ConfigurationError
from app.mailer.services.import_campaign import stored_campaign
from tests.integration.services.pipeline.desk import document, entry
from tests.integration.services.pipeline.office import Office

SECRETS = ("smtp-hunter2", "imap-hunter2", "zip-hunter2", "global-hunter2", "local-hunter2")


def with_secrets() -> dict[str, Any]:
    return document(
        campaign={"id": "cards", "name": "Cards", "mode": "send"},
        fields=[
            {"name": "pin", "type": "secret", "default": "default-hunter2"},
            {"name": "key", "type": "secret", "scope": "global"},
            {"name": "price", "type": "decimal"},
        ],
        global_values={"key": "global-hunter2"},
        server={
            "smtp": {"host": "a.example", "username": "u", "password": "smtp-hunter2"},
            "imap": {
                "enabled": True,
                "host": "b.example",
                "username": "u",
                "password": "imap-hunter2",
            },
        },
        attachments={"zip": {"enabled": True, "password": "zip-hunter2-${pin}"}},
        entries={
            "inline": [
                entry(0, values={"pin": "local-hunter2", "price": 1.10}),
                entry(1, values={"pin": 20260042}),
                entry(2),
            ]
        },
    )


def count(office: Office, table: Any) -> int:
    with office.sessions() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_same_campaign_again_is_its_next_version(office: Office) -> None:
    first = office.take(document())
    second = office.take(document(campaign={"id": "cards", "name": "Cards II", "mode": "draft"}))
    other = office.take(document(campaign={"id": "other", "name": "Other", "mode": "draft"}))
    assert (first.version_number, second.version_number, other.version_number) == (1, 2, 1)
    assert first.campaign_id == second.campaign_id != other.campaign_id
    assert count(office, Campaign) == 2
    assert second.name == "Cards II"
    with office.sessions() as session:
        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "campaign.imported")
        ).all()
    assert [each.details["version"] for each in sorted(entries, key=lambda e: e.at)] == [1, 2, 1]
    assert office.version(first.version_id).created_by == "Ada"


def test_imports_at_once_get_a_version_each(office: Office) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: office.take(document()), range(6)))
    assert sorted(each.version_number for each in found) == [1, 2, 3, 4, 5, 6]
    assert len({each.campaign_id for each in found}) == 1
    assert count(office, Campaign) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"version": "1.0"}',
        json.dumps(document(recipents={})).encode(),
        json.dumps(document(campaign={"id": "A B", "name": "x"})).encode(),
        "ü".encode("latin-1"),
    ],
)
def test_a_broken_file_stores_nothing(office: Office, data: bytes) -> None:
    with pytest.raises(CampaignInvalid) as caught:
        office.take(data)
    assert caught.value.issues
    assert count(office, Campaign) == count(office, CampaignVersion) == 0
    assert count(office, AuditEntry) == 0


def test_without_the_scope_nothing_is_stored(office: Office) -> None:
    with pytest.raises(AccessDenied, match="campaign:write"):
        office.take(document(), Actor.system(office.tenant_id, "Eve", ["campaign:read"]))
    assert count(office, Campaign) == 0


def test_no_secret_is_stored_in_clear_and_all_come_back(office: Office) -> None:
    imported = office.take(with_secrets())
    stored = office.everything()
    for secret in (*SECRETS, "default-hunter2", "20260042", "hunter2"):
        assert secret not in stored
        assert secret.encode() not in office.file_bytes()
    assert "a.example" in stored  # so this did look where it would be
    again = office.campaign(imported.version_id)
    original, _ = read_shape(json.dumps(with_secrets()))
    assert original is not None
    for part in ("fields", "global_values", "entries", "recipients", "template"):
        assert getattr(again, part) == getattr(original, part)
    assert again.server.smtp == original.server.smtp
    assert again.server.imap == original.server.imap
    assert again.attachments.zip == original.attachments.zip
    assert again.entries.inline[0]["values"]["price"] == Decimal("1.1")


def test_a_sealed_secret_opens_in_its_own_row_only(office: Office) -> None:
    first = office.take(with_secrets())
    second = office.take(with_secrets())
    moved = office.version(first.version_id)
    moved.secrets = office.version(second.version_id).secrets

    with pytest.raises(ConfigurationError):
        stored_campaign(moved, office.box)


def test_a_password_of_one_placeholder_is_no_secret(office: Office) -> None:
    made = document(
        fields=[{"name": "pin", "type": "secret"}],
        attachments={"zip": {"enabled": True, "password": "${local::pin}"}},
    )
    version = office.version(office.take(made).version_id)
    assert version.secrets is None
    assert version.config["attachments"]["zip"]["password"] == "${local::pin}"


def test_paths_no_longer_depend_on_where_the_file_stood(office: Office) -> None:
    made = document(
        template={
            "subject": {"path": "s.txt"},
            "text": {"path": "/abs/letter.txt"},
            "html": "inline",
            "inline_images": [{"cid": "logo", "path": "img/logo.png"}],
        },
        attachments={"base_path": "files"},
        entries={"source": {"path": "people.csv"}},
    )
    config = office.version(office.take(made).version_id).config
    folder = office.desk.folder
    assert config["template"]["subject"]["path"] == str(folder / "s.txt")
    assert config["template"]["text"]["path"] == "/abs/letter.txt"
    assert config["template"]["html"] == "inline"
    assert config["template"]["inline_images"][0]["path"] == str(folder / "img/logo.png")
    assert config["attachments"]["base_path"] == str(folder / "files")
    assert config["entries"]["source"]["path"] == str(folder / "people.csv")
    assert Path(config["entries"]["source"]["path"]).is_absolute()


def test_without_a_base_the_files_own_folder_is_meant(office: Office) -> None:
    config = office.version(office.take(document()).version_id).config
    assert config["attachments"]["base_path"] == str(office.desk.folder)


def test_the_stored_file_is_as_it_was_written(office: Office) -> None:
    made = document(**{"x-note": {"kept": [1, 2.50, "ü"]}})
    version = office.version(office.take(made).version_id)
    assert version.config["x-note"] == {"kept": [1, Decimal("2.5"), "ü"]}
    assert "validation_policy" not in version.config
    assert len(version.config_sha256) == 64
