"""The worker that an API process brings along: a child, so that a build takes neither the API's
processor time (one thread of Python runs at once) nor its memory.
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

_COMMAND = (sys.executable, "-m", "app.mailer.commands.run_operations", "--until-eof")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
#: For giving back what it has in hand; then it is killed, and the lease runs out.
_GRACE_SECONDS = 15.0


class WorkerProcess:
    """Keeps one worker running beside this process; it ends with it, even with a killed one.

    The child ends when its standard input does, which this process holds open.
    """

    def __init__(self, settings: Settings) -> None:
        self._environment = {**os.environ, **_as_environment(settings)}
        self._stopping = threading.Event()
        self._guard = threading.Thread(target=self._keep, name="worker", daemon=True)
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
                    _COMMAND, cwd=SERVER, env=self._environment, stdin=subprocess.PIPE
                )
            code = self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            if self._stopping.is_set():
                return
            _log.error("The worker ended with exit code %d; another one is started", code)
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
