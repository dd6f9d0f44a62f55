"""A skipped test fails the run where CI is set, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SERVER_FOLDER = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("ci", "options", "code"),
    [("", [], 0), ("true", ["-n", "1"], 1), ("true", ["-k", "runs"], 0)],
)
def test_skip(ci: str, options: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_runs(): pass\n"
        "@pytest.mark.skip(reason='the moon is down')\n"
        "def test_skips(): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-ra", *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(SERVER_FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    if "-k" not in options:
        assert "the moon is down" in done.stdout
        assert done.stdout.splitlines()[-1].strip("= ").startswith("1 passed, 1 skipped")
