from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.failpoints import FailpointReached, make_failpoint

SERVER = Path(__file__).parents[2]


def test_without_arms_nothing_happens() -> None:
    make_failpoint("")("after_dot")
    make_failpoint("before_commit:raise")("after_dot")


def test_raise_happens_at_its_visit_and_once() -> None:
    failpoint = make_failpoint("after_dot:raise@2,after_claim:raise")
    failpoint("after_dot")
    with pytest.raises(FailpointReached, match="after_dot"):
        failpoint("after_dot")
    failpoint("after_dot")
    with pytest.raises(FailpointReached, match="after_claim"):
        failpoint("after_claim")


@pytest.mark.parametrize("text", ["after_dot:explode", "after_dot", "after_dot:exit@often"])
def test_what_cannot_be_meant_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"after_dot|often"):
        make_failpoint(text)


@pytest.mark.parametrize(("env", "code"), [("dev", -signal.SIGKILL), ("production", 0)])
def test_exit_dies_as_by_sigkill_and_never_in_production(env: str, code: int) -> None:
    script = "from app.failpoints import failpoint; failpoint('here')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=SERVER,
        env={**os.environ, "APP_ENV": env, "FAILPOINTS": "here:exit"},
        check=False,
    )
    assert done.returncode == code
