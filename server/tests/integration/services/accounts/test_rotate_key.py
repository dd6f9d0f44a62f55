"""Another master key: everything moves, nothing is lost, and killing it does no harm."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from app.db.models import (
    AuditEntry,
    Campaign,
    CampaignVersion,
    IdempotencyKey,
    MailAccount,
    Tenant,
    User,
)
from app.db.repositories import sealed
from app.db.session import make_engine, session_factory
from app.mailer.adapters.clock import SystemClock
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.errors import ConfigurationError
from app.mailer.services.rotate_key import Rotation, rotate_master_key
from tests.e2e.scratch import SERVER, environment
from tests.integration.services.pipeline.desk import NOW

pytestmark = pytest.mark.timeout(300)

OLD, NEW = b"o" * 32, b"n" * 32
BOTH, ONLY_NEW, ONLY_OLD = AesSecretBox(NEW, OLD), AesSecretBox(NEW), AesSecretBox(OLD)


@pytest.fixture
def sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(database_url)
    yield session_factory(engine)
    engine.dispose()


def fill(sessions: sessionmaker[Session], accounts: int) -> None:
    """Two tenants with sealed values of every kind, under the old key."""
    with sessions() as session:
        for slug in ("acme", "rival"):
            tenant = Tenant(slug=slug, name=slug, created_at=NOW)
            session.add(tenant)
            session.flush()
            of: dict[str, Any] = {"tenant_id": tenant.id}
            campaign = Campaign(
                **of, external_id="c", name="C", description="", created_at=NOW, updated_at=NOW
            )
            user = User(**of, id=uuid4(), email="a@b.org", display_name="A", created_at=NOW)
            user.totp_secret = _seal(user.tenant_id, "users", user.id, "totp_secret")
            session.add_all([campaign, user])
            session.flush()
            version = CampaignVersion(
                **of,
                id=uuid4(),
                campaign_id=campaign.id,
                number=1,
                mode="draft",
                config={},
                config_sha256="",
                created_at=NOW,
                created_by="A",
            )
            version.secrets = _seal(tenant.id, "campaign_versions", version.id, "secrets")
            kept = IdempotencyKey(
                **of, actor_id="user:1", key="once/more", request_sha256="", created_at=NOW
            )
            kept.answer = _seal(tenant.id, "idempotency_keys", "user:1/once/more", "answer")
            unfinished = IdempotencyKey(
                **of, actor_id="user:1", key="under way", request_sha256="", created_at=NOW
            )
            session.add_all([version, kept, unfinished])
            for number in range(accounts):
                account = MailAccount(
                    **of,
                    id=uuid4(),
                    name=f"{number}",
                    smtp_host="h",
                    from_addresses=[],
                    created_at=NOW,
                    updated_at=NOW,
                )
                for field in ("smtp_password", "imap_password"):
                    setattr(account, field, _seal(tenant.id, "mail_accounts", account.id, field))
                session.add(account)
        session.commit()


def _seal(tenant_id: UUID, table: str, row: object, field: str) -> bytes:
    return ONLY_OLD.seal(f"{table} {row}".encode(), f"{tenant_id}/{table}/{row}/{field}")


def opened(sessions: sessionmaker[Session], box: AesSecretBox) -> int:
    """How many values there are; each opens by `box`, and holds what it always held."""
    count = 0
    with sessions() as session:
        for tenant in sealed.tenant_ids(session):
            for column in sealed.COLUMNS:
                rows = list(
                    sealed.page_of_others(session, tenant, column, b"?", after=None, limit=10**6)
                )
                for key, value in rows:
                    row = "/".join(str(part) for part in key)
                    text = box.open(value, column.place(tenant, key)).decode()
                    assert text == f"{column.model.__tablename__} {row}"
                count += len(rows)
    return count


def rotate(sessions: sessionmaker[Session], box: AesSecretBox = BOTH, page: int = 7) -> Rotation:
    return rotate_master_key(
        sessions,
        box=box,
        clock=SystemClock(),
        progress=lambda _phase, _done, _total: None,
        page=page,
    )


def test_everything_moves_to_the_new_key(sessions: sessionmaker[Session]) -> None:
    fill(sessions, 20)
    assert opened(sessions, BOTH) == 2 * 43
    done = rotate(sessions)
    assert (done.found, done.rewrapped, done.left, done.unreadable) == (86, 86, 0, [])
    assert done.complete
    assert opened(sessions, ONLY_NEW) == 86
    assert rotate(sessions).found == 0
    with sessions() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.at)).all()
    assert sorted(entry.action for entry in entries) == [
        *["master_key.rotated"] * 2,
        *["master_key.rotation_begun"] * 2,
    ]
    assert {entry.details["values"] for entry in entries} == {43}


def test_every_column_of_sealed_bytes_is_known() -> None:
    from sqlalchemy import LargeBinary

    from app.db.base import Base

    #: Bytes that are no secret.
    frames = {"job_messages.frame"}
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert columns - frames == {column.name for column in sealed.COLUMNS}


def test_what_somebody_stores_meanwhile_is_not_overwritten(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sessions, 1)
    exchange = sealed.exchange
    fresh = AesSecretBox(NEW, OLD)

    def somebody_first(session: Session, *rest: object) -> bool:
        tenant_id, column, key = rest[0], rest[1], rest[2]
        if column.name == "mail_accounts.smtp_password":  # type: ignore[attr-defined]
            value = fresh.seal(b"newer", column.place(tenant_id, key))  # type: ignore[attr-defined]
            session.execute(
                update(MailAccount).where(MailAccount.id == key[0]).values(smtp_password=value)  # type: ignore[index]
            )
        return exchange(session, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sealed, "exchange", somebody_first)
    done = rotate(sessions)
    assert (done.found, done.rewrapped, done.left) == (10, 8, 0)
    with sessions() as session:
        for account in session.scalars(select(MailAccount)):
            place = f"{account.tenant_id}/mail_accounts/{account.id}/smtp_password"
            assert account.smtp_password is not None
            assert ONLY_NEW.open(account.smtp_password, place) == b"newer"


def test_a_value_that_no_key_opens_is_named_and_left(sessions: sessionmaker[Session]) -> None:
    fill(sessions, 1)
    with sessions() as session:
        account = session.scalars(select(MailAccount)).first()
        assert account is not None
        account.smtp_password = AesSecretBox(b"x" * 32).seal(b"x", "elsewhere")
        damaged = account.imap_password
        assert damaged is not None
        account.imap_password = damaged[:-1] + bytes([damaged[-1] ^ 1])
        session.commit()
    done = rotate(sessions)
    assert (done.found, done.rewrapped, done.left, done.complete) == (10, 8, 2, False)
    assert {str(account.id) in each for each in done.unreadable} == {True}
    with sessions() as session:
        again = session.get_one(MailAccount, account.id)
        assert again.imap_password == account.imap_password


def command(url: str, *, as_json: bool = True, **env: str) -> subprocess.Popen[bytes]:
    keys = {
        name: base64.b64encode(key).decode()
        for name, key in (("MASTER_KEY_B64", NEW), ("MASTER_KEY_OLD_B64", OLD))
    }
    return subprocess.Popen(
        [
            *[sys.executable, "-m", "app.mailer.commands.rotate_master_key"],
            *(["--json"] if as_json else []),
        ],
        cwd=SERVER,
        env=environment(APP_ENV="test", DATABASE_URL=url, **{**keys, **env}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


def test_killed_at_any_point_it_is_simply_run_again(
    sessions: sessionmaker[Session], database_url: str
) -> None:
    fill(sessions, 300)
    for point in ("rotate_before_commit:exit@2", "rotate_after_commit:exit@1"):
        process = command(database_url, FAILPOINTS=point)
        process.communicate(timeout=150)
        assert process.returncode == -9
        assert opened(sessions, BOTH) == 1206
    process = command(database_url)
    time.sleep(random.uniform(0.3, 1.2))  # wherever that is
    process.kill()
    process.communicate(timeout=150)
    assert opened(sessions, BOTH) == 1206
    process = command(database_url)
    out, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert (result["left"], result["unreadable"]) == (0, [])
    assert result["found"] < 1206
    assert opened(sessions, ONLY_NEW) == 1206
    with pytest.raises(ConfigurationError):
        opened(sessions, ONLY_OLD)
    assert base64.b64encode(NEW) not in out + err


def test_without_an_old_key_there_is_nothing_to_do(sqlite_url: str) -> None:
    process = command(sqlite_url, MASTER_KEY_OLD_B64="")
    out, _err = process.communicate(timeout=150)
    assert process.returncode == 2
    assert "MASTER_KEY_OLD_B64" in json.loads(out)["error"]


def test_a_key_is_not_moved_to_itself(sqlite_url: str) -> None:
    process = command(sqlite_url, MASTER_KEY_OLD_B64=base64.b64encode(NEW).decode())
    out, _err = process.communicate(timeout=150)
    assert process.returncode == 2
    assert "the same key" in json.loads(out)["error"]


def test_the_end_tells_to_restart_and_run_once_more(
    sessions: sessionmaker[Session], database_url: str
) -> None:
    fill(sessions, 1)
    said = []
    for _run in range(2):
        process = command(database_url, as_json=False)
        out, err = process.communicate(timeout=150)
        assert process.returncode == 0, err
        said.append(out.decode())
    assert "10 of 10 secrets were moved" in said[0]
    assert "Restart every process that has only the old key" in said[0]
    assert "0 of 0 secrets were moved" in said[1]
    assert "Restart" not in said[1]


def test_a_key_that_is_not_set_is_found_among_stored_secrets(
    sessions: sessionmaker[Session],
) -> None:
    fill(sessions, 1)
    with sessions() as session:
        assert sealed.other_key_id(session, BOTH.key_ids) is None
        assert sealed.other_key_id(session, ONLY_OLD.key_ids) is None
        assert sealed.other_key_id(session, ONLY_NEW.key_ids) == ONLY_OLD.key_ids[0]


def test_a_wrong_old_key_is_wrong_use(sqlite_url: str) -> None:
    process = command(sqlite_url, MASTER_KEY_OLD_B64="c2hvcnQ=")
    out, err = process.communicate(timeout=150)
    assert process.returncode == 2
    assert b"c2hvcnQ=" not in out + err
