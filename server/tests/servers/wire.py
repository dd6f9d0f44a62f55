"""A TCP relay that cuts the wire between a client and a server at a chosen moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class Wire:
    """Relays `port` to `target` (both of 127.0.0.1) and cuts both ends, once, at a moment.

    `cut_before_reply`: when the server says these bytes, which then never reach the client: the
    server did its work, and the client cannot know. `cut_after_request`: when the client says
    them, which do reach the server. Only what arrives in one piece is recognised, so choose bytes
    within one line. After the cut the relay works on as if nothing had happened. Does not look
    into TLS.
    """

    host = "127.0.0.1"

    def __init__(
        self, target: int, *, cut_before_reply: bytes = b"", cut_after_request: bytes = b""
    ) -> None:
        self._target = target
        self._cut_before_reply = cut_before_reply
        self._cut_after_request = cut_after_request
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _cut(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self.host, self._target))
                gone = threading.Event()
                for pump in (self._requests, self._replies):
                    threading.Thread(target=pump, args=(client, server, gone), daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, gone: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if self._cut_after_request and self._cut_after_request in data:
                    self._cut_after_request = b""
                    self.cuts += 1
                    # Before the server hears it, so that no quick answer slips through.
                    gone.set()
                    server.sendall(data)
                    break
                server.sendall(data)
        _cut(client, server)

    def _replies(self, client: socket.socket, server: socket.socket, gone: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if gone.is_set():
                    break
                if self._cut_before_reply and self._cut_before_reply in data:
                    self._cut_before_reply = b""
                    self.cuts += 1
                    break
                client.sendall(data)
        _cut(client, server)


def _cut(*sockets: socket.socket) -> None:
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
