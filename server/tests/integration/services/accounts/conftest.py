from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.services.pipeline.desk import Desk
from tests.integration.services.pipeline.office import Office


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Iterator[Office]:
    """Runs the test on SQLite and on Postgres."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    made = Office(Desk(folder), database_url, tmp_path / "blobs")
    yield made
    made.engine.dispose()
