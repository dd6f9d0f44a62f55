"""What `/health/ready` and a start find: the tables of another version, keys that do not fit."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from app.bootstrap.program import Program
from app.db import migrations
from app.mailer.domain.errors import ConfigurationError
from app.settings import AppEnv, OperationsWorker, Settings
from tests.integration.api.conftest import Api

OLD, NEW = (base64.b64encode(each * 32).decode() for each in (b"o", b"n"))
ACCOUNT = {
    "name": "office",
    "smtp": {
        "host": "mail.example.org",
        "port": 587,
        "security": "starttls",
        "username": "office",
        "password": "pass-word",
    },
    "from_addresses": ["office@example.org"],
}


def readiness(api: Api) -> tuple[int, dict[str, Any]]:
    answer = api.anonymous.get("/health/ready")
    return answer.status_code, answer.json()["dependencies"]


def test_secrets_under_a_key_that_is_not_set(
    make_api: Callable[..., Api], settings_of: Callable[..., Settings]
) -> None:
    api = make_api(master_key_b64=OLD)
    assert readiness(api)[0] == 200
    assert api.acme.post("/api/v1/accounts", json=ACCOUNT).status_code == 201
    assert readiness(api)[1]["master_key"] == {"status": "ok", "detail": ""}
    old_id = api.program.box.key_ids[0].hex()

    both = Program(settings_of(master_key_b64=NEW, master_key_old_b64=OLD))
    both.check_secrets()
    both.stop()

    api.program.box = Program(settings_of(master_key_b64=NEW)).box
    status, found = readiness(api)
    assert status == 503
    assert found["master_key"]["status"] == "failing"
    assert old_id in found["master_key"]["detail"]
    assert "MASTER_KEY_OLD_B64" in found["master_key"]["detail"]
    assert found["database"]["status"] == "ok"


@pytest.mark.parametrize(("revision", "found"), [("base", "none"), ("0005", "0005")])
def test_tables_of_another_version(
    make_api: Callable[..., Api],
    settings_of: Callable[..., Settings],
    database_url: str,
    revision: str,
    found: str,
) -> None:
    api = make_api()
    assert readiness(api)[1]["database"] == {"status": "ok", "detail": ""}
    migrations.downgrade(database_url, revision)
    status, dependencies = readiness(api)
    assert status == 503
    detail = dependencies["database"]["detail"]
    assert f"is not up to date: it has revision {found}" in detail
    assert "app.mailer.commands.init_db" in detail

    production = Program(
        settings_of(
            app_env=AppEnv.PRODUCTION,
            master_key_b64=NEW,
            dev_api_key=None,
            operations_worker=OperationsWorker.EXTERNAL,
        )
    )
    with pytest.raises(ConfigurationError, match="not up to date") as refused:
        production.start()
    assert refused.value.hint == "Run: python -m app.mailer.commands.init_db"
    production.stop()

    migrations.upgrade(database_url)
    production.start()
    production.stop()


def test_a_fault_of_the_database_tells_anybody_only_its_kind(
    make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    api = make_api()

    def away() -> None:
        raise OperationalError("SELECT", {}, Exception("password of db.intern refused"))

    monkeypatch.setattr(api.program, "check_database", away)
    status, found = readiness(api)
    assert status == 503
    assert found["database"] == {"status": "failing", "detail": "OperationalError"}
