"""The whole API over a fresh database, on SQLite and on Postgres, with two tenants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import create_api_key
from app.access.scopes import Scope
from app.bootstrap.program import Program
from app.db.models import Tenant
from app.main import create_app
from app.settings import Settings

MakeKey = Callable[..., str]


@dataclass(frozen=True)
class Api:
    """The service of one test: a client for each tenant's owner, and what is behind them."""

    program: Program
    #: No key and no session.
    anonymous: TestClient
    #: Owner of the tenant `acme`.
    acme: TestClient
    #: Owner of the tenant `rival`, who must never see anything of `acme`.
    rival: TestClient
    acme_id: UUID
    rival_id: UUID
    make_key: MakeKey

    def client(self, *scopes: str, tenant_id: UUID | None = None) -> TestClient:
        """A client of `acme` (or another tenant) whose key has these scopes alone."""
        return _client(self.anonymous.app, self.make_key(tenant_id or self.acme_id, *scopes))


@pytest.fixture
def settings_of(tmp_path: Path, database_url: str) -> Callable[..., Settings]:
    """Settings over this test's database and folders; anything can be said otherwise."""

    def make(**others: Any) -> Settings:
        return Settings(
            **{
                "database_url": database_url,
                "blob_dir": tmp_path / "blobs",
                "journal_dir": tmp_path / "journal",
                **others,
            }
        )

    return make


@pytest.fixture
def make_api(settings_of: Callable[..., Settings]) -> Iterator[Callable[..., Api]]:
    """Makes an API with other settings than the usual ones."""
    programs: list[Program] = []

    def make(**others: Any) -> Api:
        program = Program(settings_of(**others))
        programs.append(program)
        now = program.clock.now()
        with program.sessions() as session:
            acme = Tenant(slug="acme", name="Acme", created_at=now)
            rival = Tenant(slug="rival", name="Rival", created_at=now)
            session.add_all([acme, rival])
            session.commit()

        def make_key(tenant_id: UUID, *scopes: str) -> str:
            with program.sessions() as session:
                key = create_api_key(session, tenant_id, "test", scopes, program.clock.now())
                session.commit()
            return key.secret

        app = _Service(program)
        return Api(
            program,
            anonymous=_client(app, None),
            acme=_client(app, make_key(acme.id, Scope.EVERYTHING)),
            rival=_client(app, make_key(rival.id, Scope.EVERYTHING)),
            acme_id=acme.id,
            rival_id=rival.id,
            make_key=make_key,
        )

    yield make
    for program in programs:
        program.stop()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


class _Service:
    """The application over `program`. Making one takes half a second, so tests share theirs."""

    _made: ClassVar[list[FastAPI]] = []

    def __init__(self, program: Program) -> None:
        if not self._made:
            self._made.append(create_app(program))
        self._app = self._made[0]
        self._program = program

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._app.state.program = self._program
        await self._app(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)


def _client(app: Any, key: str | None) -> TestClient:
    headers = {} if key is None else {"X-API-Key": key}
    # Without the context manager the application is not started: no data, no workers of its own.
    return TestClient(app, headers=headers, raise_server_exceptions=False)
