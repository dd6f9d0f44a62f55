"""Fixtures and rules for all tests: real servers, fresh databases, no network but this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from app.settings import Settings
from tests.servers import dovecot as dovecot_server
from tests.servers.certificates import Certificates
from tests.servers.dovecot import DovecotServer
from tests.servers.network import forbid_outside
from tests.servers.postgres import PostgresServer, migrate
from tests.servers.redis import RedisServer
from tests.servers.s3 import Bucket, S3Server
from tests.servers.smtp import SmtpServer

settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=75,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# -- rules


@pytest.fixture(scope="session", autouse=True)
def _only_this_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        forbid_outside(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings() -> Iterator[None]:
    """No test sees, or sends with, the settings of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Settings.model_config, "env_file", None)
        for name, field in Settings.model_fields.items():
            patch.delenv(str(field.validation_alias or name).upper(), raising=False)
        yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says how many tests were skipped, and that CI takes none."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and _in_ci():
        terminalreporter.section("skipped tests are failures with CI=true", red=True)
        terminalreporter.line(f"{len(skipped)} skipped; the reasons are above.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    if reporter.stats.get("skipped") and _in_ci() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


# -- mail servers


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and good, expired, wrong-host and self-signed server certificates."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def start_smtp() -> Iterator[Callable[..., SmtpServer]]:
    """Starts scripted SMTP servers with any of `SmtpServer`'s options; stopped after the test."""
    started: list[SmtpServer] = []

    def start(**options: Any) -> SmtpServer:
        started.append(SmtpServer(**options).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def smtp_server(start_smtp: Callable[..., SmtpServer]) -> SmtpServer:
    """A well-behaved SMTP server without AUTH or TLS, that keeps what it gets."""
    return start_smtp()


@pytest.fixture(scope="session")
def dovecot(certificates: Certificates) -> Iterator[DovecotServer]:
    """One Dovecot for all tests; take a `new_user()` each. `Gesendet` is its Sent folder."""
    if reason := dovecot_server.why_not():
        pytest.skip(reason)
    with DovecotServer(certificates.good) as server:
        yield server


@pytest.fixture
def start_dovecot(certificates: Certificates) -> Iterator[Callable[..., DovecotServer]]:
    """Starts a Dovecot with other folders, namespace or `certificate`; stopped after the test."""
    if reason := dovecot_server.why_not():
        pytest.skip(reason)
    started: list[DovecotServer] = []

    def start(**options: Any) -> DovecotServer:
        certificate = options.pop("certificate", certificates.good)
        server = DovecotServer(certificate, **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


# -- file stores


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One S3 server for all tests of this process."""
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    """An empty bucket."""
    return s3.new_bucket()


# -- databases


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One Postgres for all tests of this process."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database, migrated to head."""
    path = tmp_path / "multimailer.db"
    shutil.copy(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh Postgres database, migrated to head."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database of each kind: the test runs on SQLite and on Postgres."""
    return str(request.getfixturevalue(f"{request.param}_url"))


# -- Redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests of this process; take `redis_url` for an empty one."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The Redis of this process, running and empty."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Starts a Redis of the test's own, to be killed; stopped after the test."""
    started: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        started.append(RedisServer(**options).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()
