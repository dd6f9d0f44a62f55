"""Import, validate and build a large campaign by API: how soon it is answered, how soon it is done,
and whether the API stays quick meanwhile.

    python bench/service/operations.py [--entries 100000] [--keep FOLDER] [--json]

On a Postgres of this run's own and the real API, `uvicorn app.main:app` with the worker that it
brings along: one campaign file with so many entries in it, and a PDF for each. Another client
lists campaigns all the while. Exits 1 where an answer takes a second or more (and a tenth for
each MB that was sent), where the median of those lists is 50 ms or more, or where the API's own
process holds more than 500 MB.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx2 as httpx
from make_files import campaign, make, people

from app.settings import DEVELOPMENT_API_KEY
from tests.servers.postgres import PostgresServer
from tests.servers.service import Service

ANSWER_SECONDS, LIST_MS, API_MB = 1.0, 50.0, 500.0
_V1 = "/api/v1"
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Row:
    """One piece of work: seconds until the answer and until the end; milliseconds of the lists."""

    work: str
    answered: float
    finished: float
    lists: int
    list_median: float
    list_p95: float
    list_worst: float
    worker_mb: float
    met: bool


@dataclass
class Lister:
    """Another client, that lists campaigns until it is stopped."""

    url: str
    times: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with _client(self.url) as client:
            while not self._done.wait(_PAUSE_SECONDS):
                begin = time.perf_counter()
                client.get(f"{_V1}/campaigns").raise_for_status()
                self.times.append((time.perf_counter() - begin) * 1000)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()


def measure(service: Service, folder: Path, entries: int) -> Iterator[Row]:
    """Each piece of work, one after the other."""
    body = _body(folder, entries)
    headers = {"Content-Type": "application/json"}
    with _client(service.url) as client:
        row, ended = _worked(
            service,
            "import",
            lambda: client.post(f"{_V1}/campaigns", content=body, headers=headers),
        )
        yield row
        version = ended["version_id"]
        for work in ("validate", "build"):
            url = f"{_V1}/campaigns/versions/{version}/{work}"
            row, ended = _worked(service, work, lambda url=url: client.post(url))
            assert ended["result"]["entries"]["ready"] == entries, ended
            yield row


def _worked(service: Service, work: str, ask: Any, *, megabytes: float = 0) -> tuple[Row, Any]:
    lister = Lister(service.url)
    worker = _worker(service.pid)
    with lister.running(), _client(service.url) as client:
        begin = time.perf_counter()
        answer = ask()
        answered = time.perf_counter() - begin
        assert answer.status_code == 202, answer.text
        url = f"{_V1}/operations/{answer.json()['id']}"
        ended = client.get(url).json()
        while ended["status"] in ("queued", "running"):
            time.sleep(0.05)
            ended = client.get(url).json()
        finished = time.perf_counter() - begin
    assert ended["status"] == "succeeded", ended
    times = sorted(lister.times)
    row = Row(
        work,
        answered,
        finished,
        len(times),
        median(times),
        quantiles(times, n=20)[-1] if len(times) > 1 else times[0],
        times[-1],
        _peak_mb(worker),
        answered < ANSWER_SECONDS + megabytes / 10 and median(times) < LIST_MS,
    )
    return row, ended


def _body(folder: Path, entries: int) -> bytes:
    """A request with all entries in it; its PDFs are in the folder."""
    config: dict[str, Any] = campaign(expect_text=False)
    config["attachments"]["base_path"] = str(folder / "files")
    config["entries"] = {
        "inline": [
            {"id": number, "to": [address], "values": {"number": number, "name": name}}
            for number, name, address in people(entries)
        ]
    }
    return json.dumps({"config": config}, ensure_ascii=False).encode()


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"X-API-Key": DEVELOPMENT_API_KEY}, timeout=300)


def _worker(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    (child,) = [child for task in tasks for child in (task / "children").read_text().split()]
    return int(child)


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def show(row: Row) -> str:
    return (
        f"{row.work:<10} {row.answered:9.3f} s {row.finished:9.1f} s {row.lists:7} "
        f"{row.list_median:8.1f} ms {row.list_p95:8.1f} ms {row.list_worst:8.1f} ms "
        f"{row.worker_mb:6.0f} MB  {'yes' if row.met else 'NO'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the made files there")
    parser.add_argument("--json", action="store_true", help="print JSON alone, for programs")
    chosen = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="multimailer-bench-"))
    folder = (chosen.keep or work).resolve() / str(chosen.entries)
    rows: list[Row] = []
    try:
        if not (folder / "campaign.json").exists():
            make(folder, chosen.entries)
        with PostgresServer() as postgres:
            service = Service(
                DATABASE_URL=postgres.new_database(),
                BLOB_DIR=str(work / "blobs"),
                JOURNAL_DIR=str(work / "journal"),
                FILE_ROOTS=str(folder),
            )
            with service:
                if not chosen.json:
                    print(
                        f"{'work':<10} {'answered':>11} {'finished':>11} {'lists':>7} "
                        f"{'median':>11} {'p95':>11} {'worst':>11} {'worker':>9}  limits met"
                    )
                for row in measure(service, folder, chosen.entries):
                    rows.append(row)
                    if not chosen.json:
                        print(show(row), flush=True)
                api_mb = _peak_mb(service.pid)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if chosen.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "api_mb": api_mb}, indent=1))
    else:
        print(f"The API's own process held {api_mb:.0f} MB at most.")
    return int(api_mb > API_MB or not all(row.met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
