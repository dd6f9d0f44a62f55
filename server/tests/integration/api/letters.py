"""Campaigns whose letters are built, and may be sent, behind an API."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from app.access.actor import Actor
from app.mailer.services.build_version import build_version, prepare_version
from app.mailer.services.send_campaign import SendReport, send_campaign
from tests.integration.api.conftest import Api
from tests.integration.api.work import take
from tests.integration.services.pipeline.desk import silent

V1 = "/api/v1"


@dataclass(frozen=True)
class Letters:
    """One built version of `acme`'s."""

    api: Api
    campaign_id: UUID
    version_id: UUID

    @property
    def url(self) -> str:
        return f"{V1}/campaigns/{self.campaign_id}"

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.api.acme.get(f"{self.url}/{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.api.acme.post(f"{self.url}/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def jobs(self, query: str = "") -> list[Any]:
        found: list[Any] = self.get(f"jobs?{query}")["items"]
        return found

    def entries(self, query: str = "") -> list[str]:
        return [each["entry_id"] for each in self.jobs(query)]

    def statuses(self) -> list[str]:
        return [each["send_status"] for each in self.jobs()]

    def job(self, entry_id: str) -> str:
        """The id of an entry's job."""
        return next(str(each["id"]) for each in self.jobs() if each["entry_id"] == entry_id)

    def send(self, *, limit: int | None = None) -> SendReport:
        """What `send_queued_jobs` does."""
        program = self.api.program
        journal = program.journal(self.api.acme_id)
        report = None
        try:
            report = send_campaign(
                program.outbox(),
                system(self.api),
                self.campaign_id,
                journal=journal,
                limit=limit,
                rate_limit=False,
                stop=threading.Event(),
                on_start=lambda _total: None,
                on_done=lambda _job, _status: None,
            )
        finally:
            journal.close(settled=report is not None and report.stopped is None)
        return report


def system(api: Api) -> Actor:
    return Actor.system(api.acme_id, "Ada", ["*"])


def build(api: Api, folder: Path, count: int = 1, **parts: Any) -> Letters:
    """A campaign of `count` entries in `acme`, built; `parts` replace keys of its file."""
    made = take(api, folder, count, **parts)
    workshop = api.program.workshop(silent)
    prepared = prepare_version(workshop, system(api), made.version_id)
    build_version(workshop, system(api), made.version_id, prepared)
    return Letters(api, made.campaign_id, made.version_id)


def by(port: int) -> dict[str, Any]:
    """Parts of a campaign that is really sent, by the SMTP server at `port`."""
    return {
        "campaign": {"id": "cards", "name": "Cards", "mode": "send"},
        "server": {"smtp": {"host": "127.0.0.1", "port": port, "security": "plain"}},
    }
