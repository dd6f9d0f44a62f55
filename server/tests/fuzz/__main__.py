"""Schemathesis over the whole OpenAPI document, against the real service on a Postgres of its own:

    python -m tests.fuzz [--max-time 600] [any other option of `schemathesis run`]

Everything that a tenant can have is there, so that ids lead somewhere. No letter leaves: the
service and its worker reach this machine alone, where a mail server takes what they send. The exit
code is that of Schemathesis.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from app.access import create_api_key
from app.access.scopes import Scope
from app.bootstrap.program import Program
from app.db.models import Tenant
from app.main import create_app
from app.settings import Settings
from tests.e2e.scratch import copy_server
from tests.integration.api.estate import Estate
from tests.servers.accounts import stop_process
from tests.servers.postgres import SERVER_FOLDER, PostgresServer
from tests.servers.service import Service
from tests.servers.smtp import SmtpServer

_FAULT = re.compile("ERROR|Traceback|A fault at|The database failed|Somebody was first")
_HERE = Path(__file__).parent
#: All checks are on; the configuration says which are not, and why.
_ALWAYS = ("--no-color",)


def fuzz(postgres: PostgresServer, folder: Path, options: Sequence[str]) -> tuple[int, str, str]:
    """The exit code of Schemathesis, what it said, and what the service wrote meanwhile."""
    url = postgres.new_database()
    settings = {
        "DATABASE_URL": url,
        "BLOB_DIR": str(folder / "blobs"),
        "JOURNAL_DIR": str(folder / "journal"),
        "OPERATIONS_WORKER": "external",
        "DELIVERY_WORKER": "external",
    }
    server = copy_server(folder)
    with SmtpServer() as smtp:
        key_id, key, ids = _furnish(settings, smtp.port)
        config = folder / "schemathesis.toml"
        config.write_text(f"{(_HERE / 'schemathesis.toml').read_text('utf-8')}{_known(ids)}")
        with Service(server=server, offline=True, **settings) as service, _worker(service):
            command = [Path(sys.executable).with_name("schemathesis"), "--config-file", config]
            command += ["run", f"{service.url}/openapi.json", "-H", f"X-API-Key: {key}"]
            done = subprocess.run(
                [*map(str, command), *_ALWAYS, *options],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(SERVER_FOLDER),
                    "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
                    "OWN_KEY_ID": key_id,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout + done.stderr, service.log


def _furnish(settings: dict[str, str], smtp_port: int) -> tuple[str, str, dict[str, str]]:
    """A tenant with everything; the id of its owner's key, the key, and the ids of its things."""
    program = Program(Settings(**{name.lower(): value for name, value in settings.items()}))  # type: ignore[arg-type]
    now = program.clock.now()
    with program.sessions() as session:
        tenant = Tenant(slug="acme", name="Acme", created_at=now)
        session.add(tenant)
        session.flush()
        key = create_api_key(session, tenant.id, "owner", [Scope.EVERYTHING], now)
        session.commit()
    owner = TestClient(create_app(program), headers={"X-API-Key": key.secret})
    estate = Estate("acme", tenant.id, program, owner, smtp_port).build()
    program.stop()
    return str(key.id), key.secret, estate.ids


def _known(ids: dict[str, str]) -> str:
    """Has most paths lead to what is there."""
    values = [f'[dictionaries.{name}]\nvalues = ["{value}"]\n' for name, value in ids.items()]
    uses = [
        f'"{place}.{name}" = {{ dictionary = "{name}", probability = 0.7 }}'
        for name in ids
        for place in ("path", "query")
    ]
    return "\n".join(["", *values, "[parameters]", *uses, ""])


@contextmanager
def _worker(service: Service) -> Iterator[None]:
    """Does the service's long work, as far from other machines as it."""
    command = [sys.executable, "-m", "tests.servers.offline", "app.mailer.commands.run_operations"]
    process = subprocess.Popen(
        command,
        cwd=service.server,
        env=service.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        stop_process(process, signal.SIGTERM)


def main(options: Sequence[str]) -> int:
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as folder:
        code, told, log = fuzz(postgres, Path(folder), options or ["--max-time", "600"])
    print(told)
    if faults := [line for line in log.splitlines() if _FAULT.search(line)]:
        print("The service wrote:", *faults, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
