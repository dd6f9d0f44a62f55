"""Folders for people's letters and addresses."""

from __future__ import annotations

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make the folder for its owner alone, and so each above it that is absent.

    `mkdir(parents=True)` would leave those above open to everybody. Raises `OSError`.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
