"""Runs commands in forks of one process that has everything loaded: loading takes longest.

Each is a process of its own, with its own environment, folder, user and exit code. Run as a
program, this is the process that forks: a request a line on standard input, an exit code a line
on standard output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import types
from pathlib import Path
from typing import Any

from tests.e2e.scratch import Done, environment

_LIMIT_SECONDS = 30


class Forge:
    """Keeps the loaded process; `run` gives what a command did in a fork of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.forge"],
            cwd=Path(__file__).parents[2],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, cwd: Path, user: int | None = None, **env: str) -> Done:
        """`command` is the command's name and its arguments; `user` a user id that root becomes.

        A command that takes longer than 30 seconds is ended, with the exit code -14.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request = {
                "command": command,
                "cwd": str(cwd),
                "user": user,
                "env": environment(**env),
                "streams": [f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in (out, err)],
            }
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            texts = [os.pread(each.fileno(), 1 << 26, 0).decode() for each in (out, err)]
        return Done(code, *texts)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def _serve() -> None:
    import app.bootstrap
    import app.db.migrations
    import app.mailer.services.review
    import app.mailer.services.trial
    import rich.progress
    import rich.table
    import typer.rich_utils  # noqa: F401

    folder = Path(app.bootstrap.__file__).parent / "mailer/commands"
    programs = {
        path.stem: compile(path.read_text("utf-8"), path, "exec") for path in folder.glob("*.py")
    }
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_become(request, programs))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(request: dict[str, Any], programs: dict[str, types.CodeType]) -> int:
    signal.alarm(_LIMIT_SECONDS)
    for descriptor, path in enumerate(["/dev/null", *request["streams"]]):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if request["user"] is not None:
        os.setgroups([])
        os.setresgid(*[request["user"]] * 3)
        os.setresuid(*[request["user"]] * 3)
    name, *arguments = request["command"]
    sys.argv = [name, *arguments]
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        exec(programs[name], main.__dict__)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    _serve()
