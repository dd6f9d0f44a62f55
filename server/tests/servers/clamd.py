"""A clamd that knows one signature, and misbehaves when told to. Speaks INSTREAM (man 8 clamd)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self

#: Not the whole test file of the EICAR: a real scanner may look at this one.
EICAR = b"EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE"


class Clamd:
    """`scanned` has the streams that were taken. `behaviour`: good, silent (closes without a
    word), limit (ends early as over StreamMaxLength), error."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.behaviour = "good"
        self.scanned: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                there, _ = self._listening.accept()
                threading.Thread(target=self._talk, args=(there,), daemon=True).start()

    def _talk(self, there: socket.socket) -> None:
        with there, there.makefile("rb") as incoming, contextlib.suppress(OSError, struct.error):
            command = incoming.read(len(b"zINSTREAM\0"))
            assert command == b"zINSTREAM\0"
            if self.behaviour == "silent":
                return
            data = b""
            while size := struct.unpack(">I", incoming.read(4))[0]:
                data += incoming.read(size)
                if self.behaviour == "limit" and len(data) > 100_000:
                    there.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                    return
            self.scanned.append(data)
            if self.behaviour == "error":
                there.sendall(b"stream: Can't allocate memory ERROR\0")
            elif EICAR in data:
                there.sendall(b"stream: Eicar-Test-Signature FOUND\0")
            else:
                there.sendall(b"stream: OK\0")
