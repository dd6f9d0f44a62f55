"""The workers that an API process brings along: children, so that neither a build nor sending takes
the API's processor time (one thread of Python runs at once) or its memory.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

from pydantic import SecretStr

from app.settings import SERVER, Settings

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
#: For giving back what it has in hand; then it is killed, and the lease runs out.
_GRACE_SECONDS = 15.0


class WorkerProcess:
    """Keeps one worker, the command of that name, running beside this process.

    It ends with this process, even with a killed one.

    The child ends when its standard input does, which this process holds open.
    """

    def __init__(self, settings: Settings, command: str) -> None:
        self._command = (sys.executable, "-m", f"app.mailer.commands.{command}", "--until-eof")
        self._environment = {**os.environ, **_as_environment(settings)}
        self._stopping = threading.Event()
        self._guard = threading.Thread(target=self._keep, name=f"guard-{command}", daemon=True)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._guard.start()

    def stop(self) -> None:
        """Have it give back what it is at, and wait until it has ended."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            process.kill()
        self._guard.join()

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def _keep(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = subprocess.Popen(  # noqa: S603 - this program itself
                    self._command, cwd=SERVER, env=self._environment, stdin=subprocess.PIPE
                )
            code = self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            if self._stopping.is_set():
                return
            _log.error("%s ended with exit code %d; another one is started", self._command[2], code)
            self._stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _as_environment(settings: Settings) -> Mapping[str, str]:
    """The settings that are not the defaults, as the child reads them."""
    found = {}
    for name, field in type(settings).model_fields.items():
        if name in settings.model_fields_set:
            variable = str(field.validation_alias or name).upper()
            found[variable] = _text(getattr(settings, name))
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(str(each) for each in value)
    return str(value.value if isinstance(value, Enum) else value)
