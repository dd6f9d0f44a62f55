"""ClamAV by the INSTREAM command of clamd (its protocol: `man 8 clamd`)."""

from __future__ import annotations

import socket
import struct
from typing import Self

from app.mailer.domain.errors import ScannerFailed

_CONNECT_SECONDS, _SCAN_SECONDS = 5.0, 120.0
_REPLY_BYTES = 4096


class ClamAv:
    """`ports.Scanner` for clamd at `host:port` or at the path of a Unix socket."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self) -> ClamAvScan:
        return ClamAvScan(self._address)


class ClamAvScan:
    """`ports.Scan`: one stream to clamd, sent as it comes; nothing of it is kept here.

    clamd ends the conversation early where it has found something or had enough; then the rest
    need not be sent, and the verdict is its answer.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._ended_early = False

    def __enter__(self) -> Self:
        try:
            self._socket = _connect(self._address)
            self._socket.settimeout(_SCAN_SECONDS)
            self._socket.sendall(b"zINSTREAM\0")
        except OSError as error:
            self.__exit__()
            raise self._failed(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def feed(self, chunk: bytes) -> None:
        # A chunk of no bytes would be the end of the stream.
        if chunk and not self._ended_early:
            self._send(struct.pack(">I", len(chunk)) + chunk)

    def verdict(self) -> str | None:
        if not self._ended_early:
            self._send(struct.pack(">I", 0))
        reply = self._reply().removeprefix("stream: ")
        if reply == "OK":
            return None
        name, found, rest = reply.rpartition(" FOUND")
        if found and not rest:
            return name
        raise ScannerFailed(
            f"The malware scanner gave no verdict: {reply or 'it said nothing'}.",
            "Look at clamd's log; a file over its StreamMaxLength is never scanned.",
        )

    def _send(self, data: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._ended_early = True
        except OSError as error:
            raise self._failed(error) from error

    def _reply(self) -> str:
        assert self._socket is not None
        found = b""
        try:
            while b"\0" not in found and len(found) < _REPLY_BYTES:
                if not (more := self._socket.recv(_REPLY_BYTES)):
                    break
                found += more
        except OSError as error:
            raise self._failed(error) from error
        return found.partition(b"\0")[0].decode("utf-8", "replace").strip()

    def _failed(self, error: OSError) -> ScannerFailed:
        return ScannerFailed(
            f"The malware scanner at {self._address} cannot be used: {error.strerror or error}.",
            "Check CLAMAV_ADDRESS, and that clamd runs. Without it no file is taken in.",
        )


def _connect(address: str) -> socket.socket:
    if address.startswith("/"):
        there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        there.settimeout(_CONNECT_SECONDS)
        there.connect(address)
        return there
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS)
