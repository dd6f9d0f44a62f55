"""Server-sent events, as every stream of this service has them."""

from __future__ import annotations

from typing import Any

MEDIA_TYPE = "text/event-stream"
#: Nobody between here and the client keeps them back.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
RETRY_MILLISECONDS = 1000
#: Then the client connects again, and has to show that it still may.
LONGEST_SECONDS = 600.0


def event_schema(*names: str, data: str) -> dict[str, Any]:
    """For the OpenAPI document: events of these names, whose data is what `data` says."""
    return {
        "type": "object",
        "required": ["event", "data", "id"],
        "properties": {
            "event": {"type": "string", "enum": list(names)},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "description": data,
            },
            "id": {"type": "string", "examples": ["7584b4530a47bc25"]},
            "retry": {
                "type": "integer",
                "description": "Milliseconds after which to connect again",
            },
        },
    }
