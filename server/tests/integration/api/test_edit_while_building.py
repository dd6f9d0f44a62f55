"""People write and delete while a version is built: nobody waits for ever, nothing mixes."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import UUID

import pytest

from app.mailer.domain.errors import MailerError
from app.mailer.services import build_version as module
from app.mailer.services.build_version import build_version, prepare_version
from tests.integration.api.conftest import Api
from tests.integration.api.drafts import Draft, config, take
from tests.integration.api.letters import V1, system
from tests.integration.services.pipeline.desk import entry, silent


@pytest.fixture
def draft(api: Api, monkeypatch: pytest.MonkeyPatch) -> Draft:
    monkeypatch.setattr(module, "_CHUNK", 2)
    return take(api.acme, entries={"inline": [entry(number) for number in range(60)]})


def building(api: Api, draft: Draft) -> tuple[threading.Thread, list[MailerError]]:
    faults: list[MailerError] = []

    def build() -> None:
        workshop = api.program.workshop(silent)
        version_id = UUID(draft.id)
        try:
            prepared = prepare_version(workshop, system(api), version_id)
            build_version(workshop, system(api), version_id, prepared)
        except MailerError as fault:
            faults.append(fault)

    thread = threading.Thread(target=build)
    thread.start()
    return thread, faults


def test_saving_meanwhile_waits_for_nothing_but_a_portion(api: Api, draft: Draft) -> None:
    thread, faults = building(api, draft)
    saved = 0
    while thread.is_alive():
        answer = draft.client.post(
            f"{draft.url}/autosave",
            json={"campaign_json": config(**{"x-note": saved})},
            headers={"If-Match": "*"},
        )
        assert answer.status_code in (200, 201), answer.text
        saved += 1
        if answer.status_code == 201:
            break
    thread.join()
    shown = draft.get()
    # Either the build was over before, or it ended with the first save.
    assert (shown["built_at"] is None) == bool(faults)
    if faults:
        assert shown["config"]["x-note"] == saved - 1


def test_deleting_meanwhile_leaves_nothing(api: Api, draft: Draft, tmp_path: Path) -> None:
    thread, _ = building(api, draft)
    url = f"{V1}/campaigns/{draft.campaign_id}"
    assert draft.client.delete(url).status_code == 204
    thread.join()
    assert draft.client.get(url).status_code == 404
