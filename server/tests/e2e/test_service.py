"""The service as its operators start it: with its worker; and the starts that it refuses."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.e2e.scratch import copy_server, environment
from tests.integration.services.pipeline.desk import document, entry
from tests.servers.network import free_ports
from tests.servers.service import Service

KEY = "dev-multimailer-api-key"
MASTER = base64.b64encode(b"m" * 32).decode()
V1 = "/api/v1"
MANY = 6_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_server(tmp_path_factory.mktemp("service"))


@pytest.fixture
def serve(folder: Path, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services over this test's database; ended after it."""
    started: list[Service] = []

    def start(**env: str) -> Service:
        service = Service(
            server=folder,
            **{
                "DATABASE_URL": database_url,
                "BLOB_DIR": str(tmp_path / "blobs"),
                "JOURNAL_DIR": str(tmp_path / "journal"),
                **env,
            },
        )
        started.append(service)
        return service.start()

    yield start
    for each in started:
        each.stop()


def client_of(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}, timeout=60)


def refused(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A start that ends by itself."""
    (port,) = free_ports(1)
    return subprocess.run(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port), *options],
        cwd=folder,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_campaign_is_imported_validated_and_built_while_somebody_watches(
    serve: Callable[..., Service],
) -> None:
    client = client_of(serve())
    version = _imported(client)
    waited = client.post(
        f"{V1}/campaigns/versions/{version}/validate", headers={"Prefer": "wait=30"}
    )
    assert waited.status_code == 200, waited.text
    assert waited.headers["preference-applied"] == "wait=30"
    assert waited.json()["result"]["entries"]["ready"] == MANY

    before = time.monotonic()
    build = client.post(f"{V1}/campaigns/versions/{version}/build")
    assert build.status_code == 202
    assert time.monotonic() - before < 2
    events = _events(client, build.json()["id"])
    kinds = [kind for kind, _, _ in events]
    assert kinds[-1] == "finished"
    assert set(kinds[:-1]) == {"progress"}
    assert len(kinds) > 3
    assert len({event_id for _, event_id, _ in events}) == len(events)
    assert _last(events)["result"]["entries"]["ready"] == MANY
    # Who comes back is told the end again, and nothing else.
    assert _events(client, build.json()["id"], events[-1][1]) == events[-1:]


def test_a_stop_waits_for_no_watcher_and_the_work_survives_it(
    serve: Callable[..., Service],
) -> None:
    service = serve()
    client = client_of(service)
    version = _imported(client)
    build = client.post(f"{V1}/campaigns/versions/{version}/build").json()["id"]
    watching = threading.Event()

    def watch() -> None:
        with client.stream("GET", f"{V1}/operations/{build}/events") as stream:
            for line in stream.iter_lines():
                if '"running"' in line:
                    watching.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert watching.wait(30)
    before = time.monotonic()
    service.stop()
    assert time.monotonic() - before < 15, service.log
    watcher.join()
    assert "Application shutdown complete" in service.log
    assert "is given back" in service.log

    again = client_of(serve())
    ended = _last(_events(again, build))
    assert (ended["status"], ended["result"]["entries"]["ready"]) == ("succeeded", MANY)


def test_the_worker_ends_with_a_server_that_is_killed(serve: Callable[..., Service]) -> None:
    service = serve()
    worker = _child_of(service.pid)
    os.kill(service.pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while _is_alive(worker):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_external_worker_is_none_of_the_servers_business(serve: Callable[..., Service]) -> None:
    service = serve(OPERATIONS_WORKER="external")
    assert _children_of(service.pid) == []


PRODUCTION = {"APP_ENV": "production", "MASTER_KEY_B64": MASTER}
KNOWN_KEY = "bXVsdGltYWlsZXIgZGV2ZWxvcG1lbnQga2V5ISEhISE="
TAKEN = "Another process of the service uses the SQLite database"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"MASTER_KEY_B64": ""}, "MASTER_KEY_B64 needs a key of its own"),
        ({"MASTER_KEY_B64": KNOWN_KEY}, "MASTER_KEY_B64 needs a key of its own"),
        ({"DEV_API_KEY": KEY}, "DEV_API_KEY is for APP_ENV=dev alone"),
    ],
)
def test_production_refuses_development_secrets(
    folder: Path, tmp_path: Path, env: dict[str, str], said: str
) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    done = refused(folder, **{**PRODUCTION, "DATABASE_URL": url, **env})
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert KEY not in done.stdout
    assert KNOWN_KEY not in done.stdout


def test_production_refuses_a_database_without_tables(folder: Path, tmp_path: Path) -> None:
    done = refused(folder, **PRODUCTION, DATABASE_URL=f"sqlite:///{tmp_path}/x.db")
    assert done.returncode == 3
    assert "There is no database" in done.stdout
    assert "app.mailer.commands.init_db" in done.stdout
    assert "--with-dev-data" not in done.stdout
    assert not (tmp_path / "x.db").exists()


def test_production_on_sqlite_refuses_a_second_process(folder: Path, sqlite_url: str) -> None:
    env = {**PRODUCTION, "DATABASE_URL": sqlite_url}
    with Service(server=folder, **env) as first:
        assert _child_of(first.pid)  # its worker does not count
        done = refused(folder, **env)
        assert done.returncode == 3
        assert TAKEN in done.stdout
        assert "without --workers" in done.stdout
        assert "decide before the first letter" in done.stdout
        assert httpx.get(f"{first.url}/health").status_code == 200
    with Service(server=folder, **env) as next_one:
        assert httpx.get(f"{next_one.url}/health").status_code == 200


def test_production_on_sqlite_refuses_workers(folder: Path, sqlite_url: str) -> None:
    done = refused(folder, "--workers", "2", **PRODUCTION, DATABASE_URL=sqlite_url)
    # The code is uvicorn's own, which does not pass on that of its workers.
    assert done.returncode == 0
    assert TAKEN in done.stdout
    assert "failed to start, stopping the parent process" in done.stdout


def _imported(client: httpx.Client) -> str:
    """A campaign large enough to take a while."""
    entries = [
        entry(number, to=[f"{'Long name ' * 15} <p{number}@example.org>"]) for number in range(MANY)
    ]
    begun = client.post(f"{V1}/campaigns", json={"config": document(entries={"inline": entries})})
    assert begun.status_code == 202, begun.text
    ended = _last(_events(client, begun.json()["id"]))
    assert ended["status"] == "succeeded", ended
    return str(ended["version_id"])


def _events(
    client: httpx.Client, operation: str, last_id: str | None = None
) -> list[tuple[str, str, Any]]:
    """All events of an operation until the stream ends: kind, id, data."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    found = []
    url = f"{V1}/operations/{operation}/events"
    with client.stream("GET", url, headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        fields: dict[str, str] = {}
        for line in stream.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                found.append((fields["event"], fields["id"], json.loads(fields["data"])))
                fields = {}
    return found


def _last(events: list[tuple[str, str, Any]]) -> Any:
    kind, _id, data = events[-1]
    assert kind == "finished"
    return data


def _children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _child_of(pid: int) -> int:
    end = time.monotonic() + 20
    while not (children := _children_of(pid)):
        assert time.monotonic() < end
        time.sleep(0.05)
    return children[0]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"
