"""Versions under edit, and the people who write in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from app.access import create_api_key
from app.db.models import CampaignVersion
from app.mailer.services.build_version import build_version, prepare_version
from app.mailer.services.import_campaign import stored_campaign
from tests.integration.api.conftest import Api
from tests.integration.api.letters import V1, system
from tests.integration.api.people import add_person
from tests.integration.services.pipeline.desk import document, silent

EVERYTHING = ("*",)
SMTP = {"host": "mail.example.org", "username": "office", "password": "geheim-1"}
PIN = {"name": "pin", "type": "secret"}


@dataclass(frozen=True)
class Draft:
    """One version, as somebody sees it."""

    client: TestClient
    campaign_id: str
    id: str

    @property
    def url(self) -> str:
        return f"{V1}/campaigns/{self.campaign_id}/versions/{self.id}"

    def by(self, client: TestClient) -> Draft:
        return Draft(client, self.campaign_id, self.id)

    def get(self) -> Any:
        answer = self.client.get(self.url)
        assert answer.status_code == 200, answer.text
        assert answer.headers["ETag"] == answer.json()["etag"]
        return answer.json()

    def post(self, what: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = self.client.post(f"{self.url}/{what}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def autosave(self, config: Any, status: int = 200, etag: str | None = None, **more: Any) -> Any:
        headers = {} if etag is None else {"If-Match": etag}
        return self.post("autosave", {"campaign_json": config, **more}, status, **headers)

    def put(self, config: Any, status: int = 200, etag: str | None = None) -> Any:
        headers = {} if etag is None else {"If-Match": etag}
        answer = self.client.put(self.url, json={"campaign_json": config}, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()


def person(api: Api, name: str, *scopes: str) -> TestClient:
    """A client with a key of a person of `acme`."""
    scopes = scopes or EVERYTHING
    user_id = add_person(api, f"{name}@example.org", scopes, password_hash=None)
    with api.program.sessions() as session:
        key = create_api_key(
            session, api.acme_id, name, scopes, api.program.clock.now(), user_id=user_id
        )
        session.commit()
    return TestClient(
        api.anonymous.app, headers={"X-API-Key": key.secret}, raise_server_exceptions=False
    )


def begin(client: TestClient, external_id: str = "cards") -> Draft:
    """A new campaign with an empty draft."""
    answer = client.post(f"{V1}/campaigns/new", json={"external_id": external_id, "name": "Cards"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Draft(client, made["campaign"]["id"], made["version"]["id"])


def take(client: TestClient, **parts: Any) -> Draft:
    """A campaign file, imported."""
    answer = client.post(f"{V1}/campaigns", json={"config": document(**parts)})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Draft(client, made["campaign"]["id"], made["version"]["id"])


def built(api: Api, draft: Draft) -> Draft:
    """The draft, built."""
    workshop = api.program.workshop(silent)
    version_id = UUID(draft.id)
    prepared = prepare_version(workshop, system(api), version_id)
    build_version(workshop, system(api), version_id, prepared)
    return draft


def config(**parts: Any) -> dict[str, Any]:
    """The least that a draft has."""
    return {
        "version": "1.0",
        "campaign": {"id": "cards", "name": "Cards", "mode": "draft"},
        **parts,
    }


def password(api: Api, draft: Draft) -> str | None:
    """What the version would log in with."""
    with api.program.sessions() as session:
        version = session.get(CampaignVersion, UUID(draft.id))
        assert version is not None
        smtp = stored_campaign(version, api.program.box).server.smtp
        return None if smtp is None else smtp.password
