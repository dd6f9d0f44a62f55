"""A way to a server that breaks: it passes so many bytes of each connection, then cuts it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class CuttingProxy:
    """Listens on `port` and passes everything to `target`, until `cut_after` bytes went up or
    down on one connection. None passes all."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.cut_up: int | None = None
        self.cut_down: int | None = None
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(self._target)
                for source, sink, down in ((here, there, False), (there, here, True)):
                    threading.Thread(
                        target=self._pass, args=(source, sink, down), daemon=True
                    ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                limit = self.cut_down if down else self.cut_up
                if limit is not None and passed + len(data) > limit:
                    self.cuts += 1
                    break
                passed += len(data)
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
