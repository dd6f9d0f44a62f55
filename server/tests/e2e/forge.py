"""Runs commands in forks of one process that has everything loaded: loading takes longest.

Each is a process of its own, with its own environment, folder, user and exit code. Run as a
program, this is the process that forks: a request a line on standard input, an exit code a line
on standard output.
"""

from __future__ import annotations

import ctypes
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

from tests.e2e.scratch import SERVER, Done, environment

_LIMIT_SECONDS = 30


class Forge:
    """Keeps the loaded process; `run` gives what a command of `server` did in a fork of it."""

    def __init__(self, server: Path) -> None:
        self.server = server
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.forge"],
            cwd=server,
            env=environment(PYTHONPATH=str(SERVER)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, cwd: Path, powerless: bool = False, **env: str) -> Done:
        """`command` is the command's name and its arguments.

        `powerless`: permissions hold for root, too. A command that takes longer than 30 seconds
        is ended, with the exit code -14.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request = {
                "command": command,
                "cwd": str(cwd),
                "powerless": powerless,
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
    import typer.rich_utils  # noqa: F401

    import app.bootstrap.program
    import app.db.migrations
    import app.mailer.services.review
    import app.mailer.services.trial

    folder = Path(app.bootstrap.program.__file__).parents[1] / "mailer/commands"
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
    if request["powerless"]:
        _give_up_capabilities()
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


def _give_up_capabilities() -> None:
    """Leaves root without the right to read and write what permissions forbid: capset(2)."""
    version_3, this_process = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version_3, this_process)
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    _serve()
