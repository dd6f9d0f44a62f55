"""What the tests of the commands share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.forge import Forge


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """Runs commands without loading the program anew for each."""
    forge = Forge()
    yield forge
    forge.stop()
