"""The text of a PDF, read by PDFium in a process of its own (`pdf_reader`)."""

from __future__ import annotations

import atexit
import contextlib
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

_READER = Path(__file__).with_name("pdf_reader.py")
_LENGTH = struct.Struct(">Q")
#: A thousand pages take a second or two.
MAX_SECONDS = 30.0
_MAX_TEXT = 64 * 1024 * 1024
_PIECE = 1 << 20


def pdf_text(data: bytes) -> str:
    """The text of all pages, a form feed between two (`ports.PdfText`).

    Raises `ValueError` with the reason for what is no PDF, is damaged, wants a password, holds no
    text at all, as a scanned page does, or takes half a minute or a gigabyte to read.
    """
    text = _READING.text(data)
    if not text.strip():
        raise ValueError("the PDF holds no text (is it a scan?)")
    return text


class _Ended(Exception):
    """The reader is gone."""


class _Reading:
    """The reader's process, started when it is first needed and anew after a PDF that broke it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def text(self, data: bytes) -> str:
        with self._lock:
            try:
                kind, answer = self._ask(data)
            except TimeoutError:
                self.stop()
                raise ValueError("the PDF takes too long to read") from None
            except (_Ended, OSError):
                self.stop()
                raise ValueError("the PDF is damaged, or far too large inside") from None
            except BaseException:
                self.stop()  # in the middle of an answer, which nobody must take for the next one
                raise
        if kind == b"E":
            raise ValueError(answer.decode())
        return answer.decode()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()

    def _ask(self, data: bytes) -> tuple[bytes, bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no word of others
                [sys.executable, "-I", str(_READER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        process = self._process
        assert process.stdin is not None
        deadline = time.monotonic() + MAX_SECONDS
        rest = memoryview(_LENGTH.pack(len(data)) + data)
        while rest:
            rest = rest[process.stdin.write(rest) or 0 :]
        head = self._receive(process, 1 + _LENGTH.size, deadline)
        length = _LENGTH.unpack(head[1:])[0]
        if length > _MAX_TEXT:
            raise _Ended
        return head[:1], self._receive(process, length, deadline)

    @staticmethod
    def _receive(process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert process.stdout is not None
        received = bytearray()
        while len(received) < size:
            ready, _, _ = select.select(
                [process.stdout], [], [], max(0, deadline - time.monotonic())
            )
            if not ready:
                raise TimeoutError
            piece = process.stdout.read(min(_PIECE, size - len(received)))
            if not piece:
                raise _Ended
            received += piece
        return bytes(received)


_READING = _Reading()
atexit.register(_READING.stop)
