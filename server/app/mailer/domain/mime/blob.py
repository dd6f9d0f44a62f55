"""Bytes that are kept elsewhere, named by their content."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Bytes in the blob store, named by their content: SHA-256 in lower-case hex, size in bytes."""

    sha256: str
    size: int
