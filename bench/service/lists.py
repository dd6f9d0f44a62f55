"""How long a page of a long list takes by the API, beside the same query typed into psql.

    python bench/service/lists.py [--jobs 100000] [--calls 200] [--json]

On a Postgres of this run's own: one campaign of so many jobs, as many audit entries, and a
hundredth of that in other campaigns. The API is the real one, `uvicorn app.main:app`, asked over
one connection; the statements are those that it sends for the page, with their values, and psql
tells the time of each (`\\timing`). Exits 1 where the median of a page is 50 ms or more.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import psycopg
from fastapi.testclient import TestClient
from many_rows import Made, fill
from sqlalchemy import event

from app.bootstrap.program import Program
from app.main import create_app
from app.settings import DEVELOPMENT_API_KEY, Settings
from tests.servers.postgres import PostgresServer
from tests.servers.service import Service

GOAL_MS = 50.0
_KEY = {"X-API-Key": DEVELOPMENT_API_KEY}
_TIME = re.compile(r"^Time: ([0-9.]+) ms", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One page: milliseconds by the API, and of its statements in psql."""

    page: str
    median: float
    p95: float
    psql: float
    statements: int
    #: None: a larger page than lists are, to know.
    met: bool | None


def pages(made: Made) -> Iterator[str]:
    """The paths below `/api/v1`; `{half}` is a cursor from the middle of the list before it."""
    jobs = f"/campaigns/{made.campaign_id}/jobs"
    version = f"/campaigns/{made.campaign_id}/versions/{made.version_id}"
    yield "/campaigns"
    yield "/campaigns?sort=name"
    yield jobs
    yield f"{jobs}?cursor={{half}}"
    yield f"{jobs}?limit=500"
    yield f"{jobs}?send_status=failed"
    yield f"{jobs}?build_status=needs_review"
    yield f"{jobs}?undecided=true"
    yield f"{jobs}?code=duplicate-recipient"
    yield f"{jobs}?search=person77"
    yield f"{jobs}?search=nobody-has-this"
    yield f"{jobs}?sort=-entry_id"
    yield f"{jobs}?sort=to"
    yield f"{jobs}?sort=-size"
    yield f"{jobs}?sort=-sent_at"
    yield f"{version}/issues"
    yield f"{version}/issues?code=duplicate-recipient"
    yield f"{version}/coverage/people"
    yield f"{version}/coverage/files"
    yield f"/campaigns/{made.campaign_id}/versions"
    yield "/audit"
    yield "/audit?action=campaign.queued"
    yield "/audit?limit=100&offset=50000"
    yield "/files"
    yield "/files?search=person77"
    yield "/operations"
    yield "/accounts"
    yield "/admin/users"


class Api:
    """One connection to the service."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def get(self, path: str) -> Mapping[str, Any]:
        self._connection.request("GET", f"/api/v1{path}", headers=_KEY)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:500]!r}")
        found: Mapping[str, Any] = json.loads(text)
        return found

    def times(self, path: str, calls: int) -> list[float]:
        """Milliseconds of each call, after some that only warm up."""
        for _ in range(10):
            self.get(path)
        found = []
        for _ in range(calls):
            start = time.perf_counter()
            self.get(path)
            found.append((time.perf_counter() - start) * 1000)
        return found

    def half_way(self, path: str, items: int) -> str:
        cursor, seen = "", 0
        while seen < items // 2:
            page = self.get(f"{path}?limit=500&cursor={cursor}" if cursor else f"{path}?limit=500")
            cursor, seen = page["next_cursor"], seen + len(page["items"])
        return cursor


class Statements:
    """The statements that the API sends for a page, with their values in them."""

    def __init__(self, url: str) -> None:
        self._program = Program(Settings(database_url=url))
        self._client = TestClient(create_app(self._program), headers=_KEY)
        self._seen: list[tuple[str, Any]] = []
        event.listen(self._program.engine, "before_cursor_execute", self._note)
        self._connection = psycopg.connect(url.replace("+psycopg", ""))

    def _note(self, _connection: Any, _cursor: Any, text: str, values: Any, *_rest: Any) -> None:
        self._seen.append((text, values))

    def of(self, path: str) -> Sequence[str]:
        self._client.get(f"/api/v1{path}")
        self._seen.clear()
        self._client.get(f"/api/v1{path}")
        cursor = psycopg.ClientCursor(self._connection)
        return [cursor.mogrify(text, values) for text, values in self._seen]


def psql(url: str, statements: Sequence[str], calls: int) -> float:
    """The median of all statements of one page together, in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write("\\timing on\n")
        for _ in range(calls):
            file.write("".join(f"{text.rstrip(';')};\n" for text in statements))
        file.flush()
        command = ["psql", "--no-psqlrc", "--quiet", "--file", file.name, "--output", "/dev/null"]
        done = subprocess.run(  # noqa: S603 - of this machine
            [*command, url.replace("+psycopg", "")], capture_output=True, text=True, check=True
        )
    times = [float(each) for each in _TIME.findall(done.stdout)]
    whole = len(statements)
    return median(sum(times[at : at + whole]) for at in range(0, len(times), whole))


def measured(server: PostgresServer, folder: Path, jobs: int, calls: int) -> Iterator[Row]:
    url = server.new_database()
    settings = {"BLOB_DIR": str(folder / "blobs"), "JOURNAL_DIR": str(folder / "journal")}
    with Service(DATABASE_URL=url, **settings) as service:
        made = fill(url, jobs)
        statements = Statements(url)
        before = ""
        for path in pages(made):
            # The last one may have been idle for too long.
            api = Api(service.port)
            if "{half}" in path:
                path = path.replace("{half}", api.half_way(before, jobs))
            times = api.times(path, calls)
            sent = statements.of(path)
            name = path.replace(str(made.campaign_id), "…").replace(str(made.version_id), "…")
            middle = median(times)
            yield Row(
                re.sub("cursor=.*", "cursor=(half-way)", name),
                middle,
                quantiles(times, n=20)[-1],
                psql(url, sent, calls),
                len(sent),
                None if "limit=" in path else middle < GOAL_MS,
            )
            before = path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        if not arguments.json:
            print(f"{'ms':>48} {'median':>8} {'p95':>8} {'psql':>8}  statements")
        for row in measured(server, Path(folder), arguments.jobs, arguments.calls):
            rows.append(row)
            if not arguments.json:
                mark = "  MISSED" if row.met is False else ""
                print(
                    f"{row.page:>48} {row.median:8.1f} {row.p95:8.1f} {row.psql:8.1f}"
                    f"  {row.statements}{mark}",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
