"""The domain opens no file, asks no clock and draws no lots (import-linter holds the rest)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

DOMAIN = Path(__file__).parents[2] / "app" / "mailer" / "domain"
FORBIDDEN = {
    *("open", "print", "input", "now", "utcnow", "today", "uuid1", "uuid4", "exists", "is_file"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "stat", "iterdir", "glob", "rglob"),
}


def forbidden_calls(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            if name in FORBIDDEN:
                found.append(f"line {node.lineno}: {ast.unparse(function)}()")
    return found


@pytest.mark.parametrize(
    "path", sorted(DOMAIN.rglob("*.py")), ids=lambda path: str(path.relative_to(DOMAIN))
)
def test_domain_is_pure(path: Path) -> None:
    assert forbidden_calls(path.read_text("utf-8")) == []


def test_the_check_sees_what_it_forbids() -> None:
    source = "datetime.now()\nopen('x')\nPath('x').read_text()\nrow.count()"
    assert forbidden_calls(source) == [
        "line 1: datetime.now()",
        "line 2: open()",
        "line 3: Path('x').read_text()",
    ]
