"""What is told alike by a command and by the API names no command and no option."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_APP = Path(__file__).parents[2] / "app"
_COMMANDS = sorted(
    path.stem
    for path in (_APP / "mailer/commands").glob("*.py")
    if "__main__" in path.read_text("utf-8")
)
_NAMES = re.compile(rf"\b({'|'.join(_COMMANDS)})\b|(?<![\w-])--[a-z]")
#: Only commands come here.
_OF_COMMANDS = {_APP / "access/development.py"}
_SHARED = sorted(
    path
    for layer in ("mailer/services", "mailer/domain", "audit", "access", "db")
    for path in (_APP / layer).rglob("*.py")
    if path not in _OF_COMMANDS
)


def _sentences(path: Path) -> Iterator[str]:
    """The texts in a module that are no docstring and more than one word."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings and " " in text:
                yield text


@pytest.mark.parametrize("path", _SHARED, ids=lambda path: str(path.relative_to(_APP)))
def test_no_remedy_is_a_command(path: Path) -> None:
    assert [text for text in _sentences(path) if _NAMES.search(text)] == []
