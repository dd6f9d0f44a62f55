"""A small tus client, as people write one."""

from __future__ import annotations

import base64
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

UPLOADS = "/api/v1/files/uploads"
TUS = {"Tus-Resumable": "1.0.0"}


def metadata(**pairs: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items()
    )


def begin(client: TestClient, path: str, size: int, **pairs: str) -> Response:
    return client.post(
        UPLOADS,
        headers={
            **TUS,
            "Upload-Length": str(size),
            "Upload-Metadata": metadata(path=path, **pairs),
        },
    )


def send(client: TestClient, place: str, offset: int, data: bytes, **headers: str) -> Response:
    return client.patch(
        place,
        content=data,
        headers={
            **TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            **headers,
        },
    )


def offset_of(client: TestClient, place: str) -> int:
    answer = client.head(place, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def upload(client: TestClient, path: str, data: bytes, **pairs: str) -> dict[str, Any]:
    """Uploads a file in one request; its row as the list shows it."""
    begun = begin(client, path, len(data), **pairs)
    assert begun.status_code == 201, begun.text
    if data:
        sent = send(client, begun.headers["Location"], 0, data)
        assert sent.status_code == 204, sent.text
    (found,) = [
        file
        for file in client.get("/api/v1/files", params={"search": path}).json()["items"]
        if file["path"] == begun.json()["path"]
    ]
    return dict(found)
