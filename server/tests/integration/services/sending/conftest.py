from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.services.sending.house import House, make_house


@pytest.fixture
def sqlite_house(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    yield from make_house(sqlite_url, tmp_path)


@pytest.fixture
def postgres_house(postgres_url: str, tmp_path: Path) -> Iterator[House]:
    yield from make_house(postgres_url, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest) -> House:
    """A house on SQLite and one on Postgres."""
    found: House = request.getfixturevalue(f"{request.param}_house")
    return found
