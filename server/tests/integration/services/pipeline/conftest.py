"""A desk for every test of the pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.services.pipeline.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "campaign"
    folder.mkdir()
    return Desk(folder)
