"""What the tests of the commands share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.forge import Forge
from tests.e2e.scratch import copy_server


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """Runs commands without loading the program anew for each."""
    forge = Forge(copy_server(tmp_path_factory.mktemp("forge")))
    yield forge
    forge.stop()


@pytest.fixture(scope="session")
def _first_var(forge: Forge, tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(forge, tmp_path_factory.mktemp("first"))
    done = desk.run("init_db", "--with-dev-data")
    assert done.code == 0, done
    return desk.folder / "var"


@pytest.fixture
def desk(forge: Forge, _first_var: Path, tmp_path: Path) -> Desk:
    """A folder to work in, with a fresh database that has the development key."""
    desk = Desk(forge, tmp_path)
    # The whole folder: SQLite's log may hold what the database does not.
    shutil.copytree(_first_var, tmp_path / "var")
    return desk
