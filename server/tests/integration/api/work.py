"""Campaigns that an API has, and a worker that does what was asked of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

from app.access.actor import Actor
from app.mailer.services.import_campaign import Imported, import_campaign
from tests.integration.api.conftest import Api
from tests.integration.services.pipeline.desk import document, entry


def take(api: Api, folder: Path, count: int = 1, **parts: Any) -> Imported:
    """A campaign of `count` entries in the tenant `acme`; its files are in `folder`."""
    parts = {"entries": {"inline": [entry(number) for number in range(count)]}, **parts}
    return take_document(api, folder, document(**parts))


def take_document(api: Api, folder: Path, campaign: dict[str, Any]) -> Imported:
    with api.program.sessions() as session:
        imported = import_campaign(
            session,
            Actor.system(api.acme_id, "Ada", ["*"]),
            json.dumps(campaign).encode(),
            folder=str(folder),
            source_filename="campaign.json",
            clock=api.program.clock,
            box=api.program.box,
        )
        session.commit()
    return imported


def work(api: Api) -> int:
    """Does all that waits, here and now; how much it was."""
    worker = api.program.worker("test", threading.Event())
    done = 0
    while worker.run_next():
        done += 1
    return done


def watched(api: Api, operation_id: UUID | str) -> dict[str, Any]:
    """The operation as the API shows it."""
    answer = api.acme.get(f"/api/v1/operations/{operation_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
