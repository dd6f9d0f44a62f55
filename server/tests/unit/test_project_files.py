"""Files for people name everything that the code has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from app import __version__
from app.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE_ONLY = {"CAMPAIGNS_DIR", "POSTGRES_PASSWORD"}


def test_the_example_environment_names_every_setting() -> None:
    names = {
        str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()
    }
    example = (ROOT / ".env.example").read_text("utf-8")
    assert set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", example, re.MULTILINE)) == names | COMPOSE_ONLY


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "server/pyproject.toml").read_text("utf-8"))["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["dev"]}
    page = (ROOT / "docs/dependencies.md").read_text("utf-8").partition("## From Debian")[0]
    rows = re.findall(r"^\| (\S+) \| (.+) \|$", page, re.MULTILINE)
    assert {name for name, _ in rows} - {"package"} == wanted


def test_every_script_can_be_run() -> None:
    for path in [*ROOT.glob("scripts/*.sh"), ROOT / ".ci/run"]:
        assert path.stat().st_mode & 0o111, f"{path.name} is not executable"
        assert "set -euo pipefail" in path.read_text("utf-8"), path.name


def test_the_program_knows_its_version() -> None:
    project = tomllib.loads((ROOT / "server/pyproject.toml").read_text("utf-8"))["project"]
    assert __version__ == project["version"]
