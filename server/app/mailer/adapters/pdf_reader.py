"""Run as a program of its own by `pdf_text`: reads PDFs from standard input, answers with texts.

PDFium is written in C++ and ends its process where memory is short, and no limit of its own ends
a page of a billion words. So it lives here, where it can do no harm: this imports nothing of ours.
A request is its length (8 bytes) and the PDF; an answer `T` or `E`, its length, the text or reason.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
import time

import pypdfium2

_LENGTH = struct.Struct(">Q")
_MAX_MEMORY = 1024**3
#: Longer than `pdf_text` waits: for a reader whose master is dead.
_MAX_SECONDS = 60


def main() -> None:
    """Serves until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(_LENGTH.size):
        data = requests.read(_LENGTH.unpack(head)[0])
        worked = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (worked + _MAX_SECONDS, resource.RLIM_INFINITY))
        try:
            kind, answer = b"T", "\f".join(_pages(data))
        except pypdfium2.PdfiumError as error:
            kind, answer = b"E", "the file is not a PDF, or is damaged"
            if "password" in str(error).casefold():
                answer = "the PDF wants a password"
        payload = answer.encode("utf-8", "replace")
        answers.write(kind + _LENGTH.pack(len(payload)) + payload)
        answers.flush()


def _pages(data: bytes) -> list[str]:
    texts: list[str] = []
    document = pypdfium2.PdfDocument(data)
    try:
        for number in range(len(document)):
            page = document[number]
            try:
                reader = page.get_textpage()
                try:
                    texts.append(reader.get_text_bounded())
                finally:
                    reader.close()
            finally:
                page.close()
    finally:
        document.close()
    return texts


if __name__ == "__main__":
    main()
