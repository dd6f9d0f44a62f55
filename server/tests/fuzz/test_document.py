"""Schemathesis finds nothing: a bounded run, the same each time; `python -m tests.fuzz` goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.servers.postgres import PostgresServer

_OPTIONS = ("--generation-deterministic", "--max-time", "45", "--max-examples", "5")


@pytest.mark.timeout(300)
def test_no_answer_breaks_what_the_document_promises(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    code, told, log = fuzz(postgres, tmp_path, _OPTIONS)
    assert code == 0, told
    selected, tested = re.findall(r"(?:Selected|Tested): (\d+)", told)
    assert selected == tested
    assert "A fault at" not in log
    assert "The database failed" not in log
