"""A secret in every place that takes one is found nowhere else: not in answers, logs, files, rows.

What is shown once, when it is made, is the only exception.
"""

from __future__ import annotations

import base64
import io
import itertools
import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import inspect, text

from app.bootstrap.program import Program
from tests.integration.api.conftest import Api
from tests.integration.api.document import NoExample, Operation, example, operations
from tests.integration.api.estate import PASSWORD, V1, Estate
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.timeout(300)

CANARY = "Canary7Q"


class Nest(Estate):
    """An estate with a canary in every place for a secret; `shown` are those made by chance."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.shown: set[str] = set()
        self.drafts: list[dict[str, str]] = []

    def _account(self) -> None:
        made = self.sent(
            "POST",
            "/accounts",
            {
                "name": f"{self.name} office",
                "smtp": {
                    "host": "127.0.0.1",
                    "port": self.smtp_port,
                    "security": "plain",
                    "username": "office",
                    "password": f"account{CANARY}",
                },
                "imap": {
                    "host": "127.0.0.1",
                    "port": 9,
                    "security": "plain",
                    "username": "office",
                    "password": f"imap{CANARY}",
                },
            },
            **{"Idempotency-Key": "account"},
        )
        self.ids["account_id"] = made["id"]
        self.sent("POST", f"/accounts/{made['id']}/check")
        change = {"smtp": {"username": "other", "password": f"changed{CANARY}"}}
        self.sent("PATCH", f"/accounts/{made['id']}", change)
        change = {"smtp": {"username": "office", "password": f"account{CANARY}"}}
        self.sent("PATCH", f"/accounts/{made['id']}", change)

    def _people(self) -> None:
        super()._people()
        for number in range(2):
            key = self.sent(
                "POST",
                "/admin/api-keys",
                {"name": "once", "scopes": ["campaign:read"]},
                **{"Idempotency-Key": "key"},
            )
            assert number == 0 or key["api_key"] in self.shown
            self.shown.add(key["api_key"])
        assert self.person is not None
        self.shown.add(self.person.headers["authorization"].removeprefix("Bearer "))

    def _second_factor(self, password: str) -> None:
        assert self.person is not None
        begun = self.person.post(f"{V1}/auth/totp", json={"password": password}).json()
        code = TOTP(base64.b32decode(begun["secret"]), 6, SHA1(), 30).generate(
            self.program.clock.now().timestamp()
        )
        answer = self.person.post(f"{V1}/auth/totp/confirm", json={"code": code.decode()})
        assert answer.status_code == 200, answer.text
        self.shown |= {begun["secret"], password, *answer.json()["recovery_codes"]}

    def _edited(self) -> None:
        super()._edited()
        for pad in ("", "x" * 2**20):
            self._secretive(pad)

    def _secretive(self, pad: str) -> None:
        """A campaign whose file is full of secrets; with a large `pad` a worker imports it."""
        document = secretive(f"secretive-{len(pad)}", pad)
        made = self.sent("POST", "/campaigns", {"config": document})
        if pad:
            self._work()
            made = self.sent("GET", f"/operations/{made['id']}")["result"]
            campaign_id, version_id = made["campaign_id"], made["version_id"]
        else:
            campaign_id, version_id = made["campaign"]["id"], made["version"]["id"]
        for step in ("validate", "build"):
            operation = self.sent("POST", f"/campaigns/versions/{version_id}/{step}")
            self._work()
            assert self.sent("GET", f"/operations/{operation['id']}")["status"] == "succeeded"
        jobs = self.sent("GET", f"/campaigns/{campaign_id}/jobs")["items"]
        found = {"campaign_id": campaign_id, "version_id": version_id, "job_id": jobs[0]["id"]}
        self.drafts.append(found)
        one = f"{V1}/campaigns/{campaign_id}/versions"
        config = self.sent("GET", f"/campaigns/{campaign_id}/versions/{version_id}")
        shown = config["config"]
        shown["server"]["smtp"] |= {"host": "elsewhere.invalid", "password": f"edited{CANARY}"}
        answer = self.owner.put(
            f"{one}/{version_id}", json={"campaign_json": shown}, headers={"If-Match": "*"}
        )
        assert answer.status_code == 201, answer.text
        edited = answer.json()["id"]
        shown["global_values"]["key"] = f"autosaved{CANARY}"
        answer = self.owner.post(
            f"{one}/{edited}/autosave",
            json={"campaign_json": shown, "editor_state": {"open": "server"}},
            headers={"If-Match": "*"},
        )
        assert answer.status_code == 200, answer.text
        self.owner.post(f"{one}/{edited}/validate-partial", json={"section": "server"})
        self.drafts.append({**found, "version_id": edited})


def secretive(name: str, pad: str = "") -> dict[str, Any]:
    server = {"host": "127.0.0.1", "port": 9, "security": "plain", "username": "u"}
    return {
        "version": "1.0",
        "campaign": {"id": name, "name": "Secretive", "mode": "draft"},
        "x-pad": pad,
        "fields": [
            {"name": "pin", "type": "secret", "default": f"default{CANARY}"},
            {"name": "key", "type": "secret", "scope": "global"},
        ],
        "global_values": {"key": f"global{CANARY}"},
        "server": {
            "smtp": {**server, "password": f"smtp{CANARY}"},
            "imap": {**server, "password": f"imap{CANARY}"},
        },
        "recipients": {"from": "office@example.org"},
        "template": {"subject": "Hello", "text": "Your document is inside."},
        "attachments": {"zip": {"enabled": True, "password": f"zip{CANARY}${{local::pin}}"}},
        "entries": {
            "inline": [
                {"id": "a", "to": ["a@example.org"], "values": {"pin": f"cell{CANARY}"}},
                {"id": "b", "to": ["b ${local::pin}"], "values": {"pin": f"cell{CANARY}"}},
            ]
        },
    }


@pytest.fixture
def nest(api: Api, start_smtp: Callable[..., SmtpServer]) -> Nest:
    server = start_smtp(users={"office": f"account{CANARY}"})
    return Nest("acme", api.acme_id, api.program, api.acme, server.port)


def test_no_secret_is_found_anywhere(
    nest: Nest, api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    nest.build()
    secrets = {CANARY, api.acme.headers["x-api-key"], *nest.shown}
    secrets |= {api.program.settings.master_key_b64.get_secret_value()}
    for place in ("account", "imap", "smtp"):
        secrets.add(base64.b64encode(f"\0office\0{place}{CANARY}".encode()).decode().rstrip("="))
    found = {
        f"{where}: {secret[:12]}…"
        for where, data in itertools.chain(
            _answers(nest),
            _complaints(nest, api),
            _stored(api.program),
            _files(tmp_path),
        )
        for secret in secrets
        if secret.encode() in data
    }
    logs = f"{caplog.text}{[(each.msg, each.args) for each in caplog.records]}"
    found |= {f"a log: {secret[:12]}…" for secret in secrets if secret in logs}
    assert found == set()


def _answers(nest: Nest) -> Iterator[tuple[str, bytes]]:
    """What every route that only looks shows, of every campaign."""
    reading = [each for each in operations() if each.method == "GET"]
    answered: set[str] = set()
    for operation in reading:
        for ids in ({}, *nest.drafts):
            path = operation.path
            for each in operation.parameters("path"):
                path = path.replace(
                    f"{{{each['name']}}}", {**nest.ids, "position": "0", **ids}[each["name"]]
                )
            for query in _queries(operation, nest):
                answer = nest.owner.get(path, params=query)
                assert answer.status_code < 500 or operation.id == "get_readiness", answer.text
                if answer.is_success:
                    answered.add(operation.id)
                yield str(operation), f"{answer.headers}".encode() + _unpacked(answer.content)
    # The estate's letters have no files to look into.
    assert {each.id for each in reading} - answered <= {"get_job_attachment", "list_own_sessions"}


def _queries(operation: Operation, nest: Nest) -> list[dict[str, Any]]:
    """Without anything that can be left out, and with each choice that says to show more."""
    needed = {
        each["name"]: nest.ids.get(f"{each['name']}", nest.ids["version_id"])
        for each in operation.parameters("query")
        if each.get("required")
    }
    flags = [
        each["name"]
        for each in operation.parameters("query")
        if each["schema"].get("type") == "boolean"
    ]
    return [needed, {**needed, **dict.fromkeys(flags, "true")}] if flags else [needed]


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(b"PK\3\4"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return data + b"".join(archive.read(name) for name in archive.namelist())


def _complaints(nest: Nest, api: Api) -> Iterator[tuple[str, bytes]]:
    """What routes say of requests with something wrong in them."""
    for operation in operations():
        if operation.body is None or operation.method == "GET":
            continue
        path = operation.path
        for each in operation.parameters("path"):
            path = path.replace(f"{{{each['name']}}}", {**nest.ids, "position": "0"}[each["name"]])
        try:
            good = example(operation.body)
        except NoExample:
            good = {}
        names = {*good, "password", "config", "campaign_json", "smtp", "code"}
        for body in (
            {**good, **{name: [[CANARY]] for name in names}},
            {**good, **{name: {"password": [CANARY], "x": CANARY} for name in names}},
            [CANARY],
            CANARY,
        ):
            answer = nest.owner.request(operation.method, path, json=body)
            assert 400 <= answer.status_code < 500, f"{operation}: {answer.status_code} {body}"
            yield f"{operation} complaining", answer.content
    for wrong in _wrong_campaigns():
        answer = nest.owner.post(f"{V1}/campaigns", json={"config": wrong})
        yield "create_campaign complaining", answer.content
    login = {"tenant_slug": "acme", "email": "ada@acme.example.org", "password": CANARY}
    yield "login refusing", api.anonymous.post(f"{V1}/auth/login", json=login).content
    login["password"] = PASSWORD.format(name="acme")
    for more in ({}, {"totp_code": "000000"}, {"recovery_code": CANARY}):
        yield "login refusing", api.anonymous.post(f"{V1}/auth/login", json=login | more).content
    for header in ({"X-API-Key": CANARY}, {"Authorization": f"Bearer {CANARY}"}):
        answer = api.anonymous.get(f"{V1}/campaigns", headers=header)
        assert answer.status_code == 401
        yield "a key refused", answer.content


def _wrong_campaigns() -> Iterator[dict[str, Any]]:
    whole = secretive("wrong")
    yield {**whole, "server": {"smtp": {"host": "h", "password": [CANARY]}}}
    yield {**whole, "server": {"smtp": {"host": f"u:{CANARY}@h"}}}
    yield {**whole, "server": {"smtp": f"u:{CANARY}@h"}}
    yield {**whole, "attachments": {"zip": {"enabled": True, "password": {"x": CANARY}}}}
    yield {**whole, "attachments": {"zip": {"enabled": 3, "password": f"{CANARY}${{nope"}}}
    yield {**whole, "global_values": {"key": {"x": CANARY}}}


def _stored(program: Program) -> Iterator[tuple[str, bytes]]:
    """Every cell of every table, as a dump has it."""
    with program.engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings():
                for column, cell in row.items():
                    raw = isinstance(cell, bytes | memoryview)
                    yield f"{table}.{column}", bytes(cell) if raw else str(cell).encode()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The database's own files where it is SQLite, the blobs, the journals."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()
