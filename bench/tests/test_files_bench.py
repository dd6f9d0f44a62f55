"""The bench of the blob stores runs, and says what it found."""

import subprocess
import sys
from pathlib import Path

_BENCH = Path(__file__).resolve().parents[1] / "files" / "stores.py"


def test_every_store_is_measured() -> None:
    done = subprocess.run(  # noqa: S603 - the bench itself
        [sys.executable, str(_BENCH), "--quick", "--count", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line[:12].strip() for line in done.stdout.splitlines()[2:]]
    assert rows == ["folder ours", "folder bare", "s3 ours", "s3 bare"]
