"""The service as it is deployed: `uvicorn app.main:app` in a process of its own, on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers.accounts import stop_process
from tests.servers.network import free_ports
from tests.servers.postgres import SERVER_FOLDER

#: Starting also migrates a fresh database.
_STARTS_WITHIN = 60.0


class Service:
    """One service in `APP_ENV=dev`, hence with its development data, in the folder `server`.

    Its settings are those given by the names of their variables, and those of a `.env` beside the
    program: tests hand in a copy that has none. `options` are uvicorn's own; `offline` keeps it
    (not a worker of its own) from every other machine. `log` is what it wrote so far.
    """

    def __init__(
        self,
        *options: str,
        server: Path = SERVER_FOLDER,
        port: int = 0,
        offline: bool = False,
        **settings: str,
    ) -> None:
        self.server = server
        self._options = options
        self._offline = offline
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        # Tests send by themselves, and when they want to.
        self._settings = {"APP_ENV": "dev", "DELIVERY_WORKER": "external", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it

    def start(self) -> Self:
        command = [str(Path(sys.executable).with_name("uvicorn"))]
        if self._offline:
            command = [sys.executable, "-m", "tests.servers.offline", "uvicorn"]
        command += ["app.main:app", *self._options, "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            command,
            cwd=self.server,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"The service did not start:\n{self.log}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        if self._process is not None:
            stop_process(self._process, signal.SIGTERM, 20)
            with suppress(ProcessLookupError):  # nothing that it started may outlive it
                os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        end = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), end, 0).decode("utf-8", "replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()

    @property
    def environment(self) -> dict[str, str]:
        """What the service sees, for other programs that work with it."""
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
        # For what is the tests' own; the program is the one in its folder.
        libraries = {"PYTHONPATH": str(SERVER_FOLDER)} if self._offline else {}
        return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", **libraries, **self._settings}

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
