"""The generated files: the same each time, complete, and told when stale."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app.api.scopes import SCOPES
from app.generate import generated, main, stale, write
from app.mailer.domain import version
from app.mailer.domain.codes import CODES
from app.mailer.domain.delivery.job import MOVES, SendStatus, mermaid
from app.mailer.domain.issues import EntryState, Severity
from app.mailer.domain.version import WorkflowState

PAGES = generated()
CODES_PAGE = PAGES["docs/issue-codes.md"]
STATES_PAGE = PAGES["docs/states.md"]


def test_the_files_of_this_project_are_fresh() -> None:
    assert stale(Path(__file__).parents[3]) == []


def test_it_writes_the_same_each_time_and_says_what_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(stale(tmp_path)) == set(PAGES)
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    write(tmp_path)
    assert stale(tmp_path) == []
    (tmp_path / "docs/states.md").write_text("old")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "docs/states.md is stale: run scripts/generate.sh\n"
    assert main(["--chekc"], tmp_path) == 2


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_row(code: str) -> None:
    info = CODES[code]
    policy = f"`{info.policy}`" if info.policy else "–"
    row = f"| `{code}` | {info.meaning} | {info.severity.value} | {policy} |"
    assert CODES_PAGE.count(row) == 1


def test_every_state_severity_and_move_is_there() -> None:
    for state in [*SendStatus, *EntryState]:
        assert f"| `{state.value}` | " in STATES_PAGE
    for severity in Severity:
        assert f"| `{severity.value}` | " in CODES_PAGE
    for move in MOVES:
        event = move.event.value.replace("_", " ")
        row = f"| `{move.source.value}` | {event} | `{move.target.value}` | {move.cause.value} |"
        assert STATES_PAGE.count(f"{row}\n") == 1
    for state in WorkflowState:
        assert f"| `{state.value}` | {version.MEANING[state]} |" in STATES_PAGE
    for step in version.MOVES:
        event = step.event.value.replace("_", " ")
        row = f"| `{step.source.value}` | {event} | `{step.target.value}` | {step.cause.value} |"
        assert STATES_PAGE.count(f"{row} {step.meaning} |\n") == 1
    assert f"```mermaid\n{version.mermaid()}\n```" in STATES_PAGE
    assert f"```mermaid\n{mermaid()}\n```" in STATES_PAGE


@pytest.mark.parametrize("operation", SCOPES)
def test_every_route_is_listed_with_its_scope(operation: str) -> None:
    page = PAGES["docs/routes.md"]
    (row,) = re.findall(rf"^\| .* \| `{operation}` \| (.+) \|$", page, re.MULTILINE)
    assert row.strip("`") == SCOPES[operation].value


def test_the_openapi_document_says_the_same_on_every_machine() -> None:
    text = PAGES["webui/openapi.json"]
    assert json.loads(text)["openapi"].startswith("3.1")
    assert str(Path.home()) not in text
    assert "localhost" not in text
