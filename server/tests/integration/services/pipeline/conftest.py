"""A desk for every test of the pipeline, and an office with a database of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.services.pipeline.desk import Desk
from tests.integration.services.pipeline.office import Office


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "campaign"
    folder.mkdir()
    return Desk(folder)


@pytest.fixture
def office(desk: Desk, database_url: str, tmp_path: Path) -> Iterator[Office]:
    """Runs the test on SQLite and on Postgres."""
    made = Office(desk, database_url, tmp_path / "blobs")
    yield made
    made.engine.dispose()
