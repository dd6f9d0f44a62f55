"""JSON with its numbers as they are spelled: `1.10` is no `1.1` to whoever reads the letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from app.db.base import dump_document


async def _raw_body(request: Request) -> bytes:
    return await request.body()


#: The body as it was sent, beside the model that describes and checks it.
RawBody = Annotated[bytes, Depends(_raw_body)]


def exact_answer(
    model: BaseModel,
    members: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`model` with `members` beside its own, which may hold exact numbers."""
    content = dump_document({**model.model_dump(mode="json"), **members})
    return Response(content, status, headers=dict(headers or {}), media_type="application/json")
