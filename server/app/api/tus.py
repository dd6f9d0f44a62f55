"""What tus 1.0.0 (https://tus.io/protocols/resumable-upload) says in headers."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import ApiError

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
#: The protocol asks for sha1 at least.
ALGORITHMS = ("sha256", "sha1", "md5")
CONTENT_TYPE = "application/offset+octet-stream"
#: A status of the protocol's own.
CHECKSUM_MISMATCH = 460

_PATH = "/api/v1/files/uploads"


class TusHeaders:
    """ASGI middleware: each answer about uploads names the version, errors too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not str(scope["path"]).startswith(_PATH):
            await self._app(scope, receive, send)
            return

        async def with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Tus-Resumable", VERSION)
            await send(message)

        await self._app(scope, receive, with_version)


def refuse_other_version(version: str) -> None:
    """412 for what is not this version."""
    if version != VERSION:
        raise ApiError(
            412,
            "tus-version",
            f"Tus-Resumable says {version[:20]!r}; this server speaks {VERSION}.",
            f"Send Tus-Resumable: {VERSION}.",
            headers={"Tus-Version": VERSION},
        )


def read_metadata(header: str) -> dict[str, str]:
    """The pairs of `Upload-Metadata`: keys and base64, a comma between pairs; 422 for others."""
    found: dict[str, str] = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise ApiError(
                422,
                "upload-metadata",
                f"Upload-Metadata: the value of {key[:40]!r} is not UTF-8 text in base64.",
                "Send it as: path MjAyNi9sZXR0ZXIucGRm,replace dHJ1ZQ==",
            ) from None
        if not key or key in found:
            raise ApiError(
                422,
                "upload-metadata",
                "Upload-Metadata has an empty key, or one twice.",
                "Send it as: path MjAyNi9sZXR0ZXIucGRm,replace dHJ1ZQ==",
            )
        found[key] = text
    return found


def http_date(moment: datetime) -> str:
    """As `Upload-Expires` takes it (RFC 9110, 5.6.7)."""
    return format_datetime(moment, usegmt=True)


class Checksum:
    """What `Upload-Checksum` announces of a request's body; 422 for what it cannot be."""

    def __init__(self, header: str) -> None:
        name, _, value = header.partition(" ")
        try:
            self._wanted = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            self._wanted = b""
        if name not in ALGORITHMS or len(self._wanted) != hashlib.new(name).digest_size:
            raise ApiError(
                422,
                "upload-checksum",
                "Upload-Checksum is not one that this server knows.",
                f"Send one of {', '.join(ALGORITHMS)} and, behind a blank, the digest in base64.",
            )
        self._hash: Any = hashlib.new(name, usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def verify(self) -> None:
        """460 where the bytes were others."""
        if self._hash.digest() != self._wanted:
            raise ApiError(
                CHECKSUM_MISMATCH,
                "upload-checksum",
                "The bytes that came are not those that Upload-Checksum announces; none was kept.",
                "Send them again from the same offset.",
            )
