"""The shape of a campaign file."""

from __future__ import annotations

from typing import Any

from app.api.routing import router
from app.mailer.domain.campaign.schema import campaign_schema

routes = router("schemas", "/schemas")


@routes.get("/campaign")
def get_campaign_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a campaign file, with a title and a text for each key."""
    return campaign_schema()
