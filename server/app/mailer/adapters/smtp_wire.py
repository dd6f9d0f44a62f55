"""One SMTP connection as octets and replies: deadlines, limits, the change to TLS."""

from __future__ import annotations

import re
import socket
import ssl
import time

from app.mailer.adapters.smtp_text import PIECE
from app.mailer.ports import Reply

# RFC 5321, 4.5.3.1.5 allows 512 octets a line; real servers say more.
MAX_LINE = 8192
MAX_LINES = 100

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class WireError(Exception):
    """The connection is lost, silent or talks nonsense: it must not be used again."""


class Wire:
    """Wraps a connected socket. `timeout` (seconds) holds for each piece sent and each reply."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._sock = sock
        self._timeout = timeout
        self._buffer = bytearray()

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Raises `ssl.SSLError` or `OSError` where no trusted connection comes about."""
        self._sock.settimeout(self._timeout)
        self._sock = context.wrap_socket(self._sock, server_hostname=host)

    @property
    def tls_version(self) -> str | None:
        return self._sock.version() if isinstance(self._sock, ssl.SSLSocket) else None

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate in DER."""
        return self._sock.getpeercert(True) if isinstance(self._sock, ssl.SSLSocket) else None

    @property
    def own_address(self) -> str:
        """This end's IP address."""
        return str(self._sock.getsockname()[0])

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            for start in range(0, len(view), PIECE):
                self._sock.settimeout(self._timeout)
                self._sock.sendall(view[start : start + PIECE])
        except TimeoutError:
            raise WireError(f"the server took nothing for {self._timeout:g} seconds") from None
        except OSError as error:
            raise _lost(error) from None

    def read_reply(self, timeout: float | None = None) -> Reply:
        """The next reply, all its lines; `timeout` holds for the whole of it."""
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        code = b""
        lines: list[str] = []
        while len(lines) < MAX_LINES:
            try:
                line = self._read_line(deadline)
            except TimeoutError:
                raise WireError(f"the server did not answer within {seconds:g} seconds") from None
            except OSError as error:
                raise _lost(error) from None
            found = _LINE.fullmatch(line)
            if found is None or (code and found[1] != code):
                raise WireError(f"the server's answer makes no sense: “{_shown(line)[:80]}”")
            code = found[1]
            lines.append(_shown(found[3] or b""))
            if found[2] != b"-":
                return Reply(int(code), "\n".join(lines))
        raise WireError(f"the server's answer has more than {MAX_LINES} lines")

    def quiet(self) -> bool:
        """True while the server has said nothing unasked and has not hung up."""
        if self._buffer:
            return False
        try:
            self._sock.settimeout(0.0)
            self._buffer += self._sock.recv(MAX_LINE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self._sock.close()

    def _read_line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                break
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self._sock.settimeout(remaining)
            received = self._sock.recv(MAX_LINE)
            if not received:
                raise ConnectionResetError
            self._buffer += received
        if end < 0 or end > MAX_LINE:
            raise WireError("the server's answer has a line without an end")
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line


def _lost(error: OSError) -> WireError:
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        return WireError("the server hung up")
    return WireError(f"the connection was lost ({error.strerror or type(error).__name__})")


def _shown(line: bytes) -> str:
    """Text of a stranger, safe for a log and a terminal."""
    return _CONTROL.sub("?", line.decode("utf-8", "replace"))
