"""One IMAP connection with limits: `imaplib` by itself reads whatever a server says, for ever."""

from __future__ import annotations

import imaplib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from imapclient import IMAPClient
from imapclient.imap4 import IMAP4WithTimeout
from imapclient.tls import IMAP4_TLS

from app.mailer.adapters.connection import connect
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import Security, ServerAccess

#: Octets of one answer: a list of ten thousand folders has one megabyte.
MAX_ANSWER = 4 * 1024 * 1024
_PIECE = 64 * 1024


class _Bounded(imaplib.IMAP4):
    """What a server says to one command is bounded in octets and, as a whole, in seconds."""

    seconds: float
    reach: Callable[[], socket.socket]

    @property
    def sock(self) -> socket.socket:
        return self._connected

    @sock.setter
    def sock(self, sock: socket.socket) -> None:
        self._connected = sock
        # Said before encryption, to be believed after it: forgotten (CVE-2011-0411).
        self._unread = bytearray()
        self._answer_begins()

    def send(self, data: Any) -> None:
        self.sock.settimeout(self.seconds)
        super().send(data)
        self._answer_begins()

    def read(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive(size - len(self._unread))
        return self._taken(size)

    def readline(self) -> bytes:
        while (end := self._unread.find(b"\n")) < 0:
            self._receive(1)
        return self._taken(end + 1)

    def _answer_begins(self) -> None:
        self._deadline = time.monotonic() + self.seconds
        self._left = MAX_ANSWER

    def _receive(self, needed: int) -> None:
        if needed > self._left:
            raise self.abort(f"an answer has more than {MAX_ANSWER // 1024**2} MB")
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        self.sock.settimeout(remaining)
        received = self.sock.recv(_PIECE)
        if not received:
            raise ConnectionResetError("the server hung up")
        self._left -= len(received)
        self._unread += received

    def _taken(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data


class _Plain(_Bounded, IMAP4WithTimeout):  # type: ignore[misc]  # it has no types
    def __init__(self, access: ServerAccess, hosts: HostRules) -> None:
        self.seconds = access.timeout_seconds
        self.reach = lambda: connect(access, hosts)
        super().__init__(access.host, access.port, access.timeout_seconds)

    def _create_socket(self, _timeout: float | None = None) -> socket.socket:
        return self.reach()


class _Tls(_Bounded, IMAP4_TLS):  # type: ignore[misc]
    def __init__(self, access: ServerAccess, hosts: HostRules, context: ssl.SSLContext) -> None:
        self.seconds = access.timeout_seconds
        self.reach = lambda: connect(access, hosts)
        self._tls = context
        super().__init__(
            access.host,
            access.port,
            context,  # type: ignore[arg-type]
            access.timeout_seconds,  # type: ignore[call-arg]
        )

    def _create_socket(self, _timeout: float | None = None) -> socket.socket:
        return self._tls.wrap_socket(self.reach(), server_hostname=self.host)


class BoundedClient(IMAPClient):  # type: ignore[misc]
    """`IMAPClient` over such a connection; the access's time-out holds for each answer."""

    def __init__(self, access: ServerAccess, hosts: HostRules, context: ssl.SSLContext) -> None:
        self._access = access
        self._hosts = hosts
        super().__init__(
            access.host,
            access.port,
            ssl=access.security is Security.TLS,
            ssl_context=context,
            timeout=access.timeout_seconds,
        )

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802
        if self.ssl:
            return _Tls(self._access, self._hosts, self.ssl_context)
        return _Plain(self._access, self._hosts)

    def be_patient(self, seconds: float) -> None:
        """How long each answer may take from now on."""
        self._imap.seconds = seconds
