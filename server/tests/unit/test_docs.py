"""The pages for people: examples are accepted, links lead somewhere, nothing is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import app.db.models  # noqa: F401 - makes the metadata whole
from app.db.base import Base
from app.mailer.commands import __path__ as command_folders
from app.mailer.domain.campaign.check import check_campaign
from app.mailer.domain.campaign.schema import campaign_schema
from app.mailer.domain.campaign.shape import read_shape
from app.mailer.domain.codes import POLICY_DEFAULTS
from app.mailer.domain.rest import Rest
from app.settings import Settings

_ROOT = Path(__file__).parents[3]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")])
_FORMAT = (_ROOT / "docs/campaign-format.md").read_text("utf-8")
_OPERATIONS = (_ROOT / "docs/operations.md").read_text("utf-8")
_README = (_ROOT / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"^```(?P<kind>json[ a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"app\.mailer\.commands\.([a-z_]+)")
#: What a fragment is laid over: the least that a campaign needs.
_LEAST: dict[str, Any] = {
    "version": "1.0",
    "campaign": {"id": "example", "name": "Example"},
    "recipients": {"from": "office@example.org"},
    "template": {"subject": "Hello", "text": "Hello"},
}


def _blocks(kind: str) -> list[str]:
    return [found["text"] for found in _BLOCK.finditer(_FORMAT) if found["kind"] == kind]


def _assert_accepted(text: str) -> None:
    campaign, issues = read_shape(text)
    assert issues == []
    assert campaign is not None
    assert check_campaign(campaign, time_zones={"Europe/Berlin"}) == []


def test_the_whole_campaign_of_the_format_page_is_accepted() -> None:
    (text,) = _blocks("json campaign")
    _assert_accepted(text)


@pytest.mark.parametrize("text", _blocks("json"))
def test_a_fragment_of_the_format_page_is_accepted_as_part_of_a_campaign(text: str) -> None:
    _assert_accepted(json.dumps(_LEAST | json.loads(text)))


def test_the_format_page_names_every_key() -> None:
    schema = campaign_schema()
    objects = [schema, *schema["$defs"].values()]
    keys = {name for each in objects for name in each.get("properties", {})}
    named = {word for code in re.findall(r"`([^`\n]+)`", _FORMAT) for word in code.split(".")}
    assert keys - named == set()


def test_the_format_page_tells_each_policy_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| `(\w+)` \|$", _FORMAT, re.MULTILINE))
    assert rows == {key: severity.value for key, severity in POLICY_DEFAULTS.items()}


def test_the_operations_page_names_every_setting() -> None:
    names = {
        str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()
    }
    assert {name for name in names if f"| `{name}` |" not in _OPERATIONS} == set()


def test_the_readme_shows_every_command_and_no_other() -> None:
    (folder,) = command_folders
    modules = {
        path.stem
        for path in Path(folder).glob("*.py")
        if "\n    run(main" in path.read_text("utf-8")
    }
    assert set(_COMMAND.findall(_README)) == modules


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.relative_to(_ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        if target.startswith(("https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_the_tables_of_the_database_stand_once_in_the_architecture() -> None:
    page = (_ROOT / "docs/architecture.md").read_text("utf-8").split("## Data")[1].split("## ")[0]
    named = [
        name
        for row in page.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])
    ]
    assert sorted(named) == sorted(Base.metadata.tables)


def test_the_audit_page_names_the_groups_of_the_rest() -> None:
    page = (_ROOT / "docs/audit.md").read_text("utf-8")
    assert [rest.value for rest in Rest if f"| `{rest.value}` |" not in page] == []


def test_nothing_that_works_stands_as_not_there_yet() -> None:
    page = (_ROOT / "docs/delivery.md").read_text("utf-8")
    missing = page.split("## Not there yet")[1]
    routes = (_ROOT / "docs/routes.md").read_text("utf-8")
    assert "pause_campaign" in routes
    assert "pause" not in missing
    assert [word for word in ("/pause", "/cancel", "/archive") if word not in page] == []
