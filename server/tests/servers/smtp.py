"""A strict SMTP server that follows a script: refuses, stalls, lies and hangs up when told to.

It speaks the subset of RFC 5321 that a submitting client needs (with 1870, 2920, 3207, 4954,
6152 and 6531) and has no mercy for a client that breaks the rules: a bare CR or LF, a line over
998 octets, eight-bit text that was not announced, pipelining that was not offered.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.servers.certificates import Certificate
from tests.servers.smtp_conversation import Conversation, HangUp, Rules
from tests.servers.smtp_script import (
    BUSY,
    DROP,
    GARBAGE,
    KEEP_AND_DROP,
    STEPS,
    Act,
    Received,
    Script,
)

__all__ = ["BUSY", "DROP", "GARBAGE", "KEEP_AND_DROP", "Act", "Received", "SmtpServer"]


class SmtpServer:
    """Runs in threads of this process between `start` and `stop`, or as a context manager.

    `users` (name to password) or `tokens` (name to OAuth 2 access token) make AUTH compulsory;
    `mechanisms` are the ones offered. `security` is plain, starttls or tls; `esmtp=False` knows
    HELO only. `script` maps a step (see `smtp_script.STEPS`) to acts that are used up in order by
    all connections together; a text or bytes stands for `Act(reply=...)`, None for the usual
    behaviour once. With `folder`, each message is also written there as 00001.eml and so on.

    `messages` are the accepted ones; `log` has every command, in order, without passwords;
    `violations` is what clients did wrong; `connections` counts those made.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        tokens: Mapping[str, str] | None = None,
        mechanisms: Sequence[str] | None = None,
        security: str = "plain",
        certificate: Certificate | None = None,
        size_limit: int | None = None,
        smtputf8: bool = True,
        pipelining: bool = True,
        esmtp: bool = True,
        script: Script | None = None,
        folder: Path | None = None,
        port: int = 0,
    ) -> None:
        if security not in {"plain", "starttls", "tls"}:
            raise ValueError(f"no such security: {security}")
        if security != "plain" and certificate is None:
            raise ValueError(f"security {security} needs a certificate")
        if mechanisms is None:
            mechanisms = [
                *(["PLAIN", "LOGIN"] if users else []),
                *(["XOAUTH2"] if tokens else []),
            ]
        self._rules = Rules(
            users=dict(users or {}),
            tokens=dict(tokens or {}),
            mechanisms=tuple(mechanisms),
            security=security,
            context=certificate.server_context() if certificate else None,
            size_limit=size_limit,
            smtputf8=smtputf8,
            pipelining=pipelining,
            esmtp=esmtp,
        )
        self._script: dict[str, list[Act]] = {}
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._folder = folder
        self.stopping = threading.Event()
        self.messages: list[Received] = []
        self.log: list[str] = []
        self.violations: list[str] = []
        self.connections = 0
        for step, acts in (script or {}).items():
            self.add_to_script(step, *acts)
        self._listener = socket.create_server((self.host, port), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    # -- for tests

    def start(self) -> Self:
        threading.Thread(target=self._accept, name=f"smtp-{self.port}", daemon=True).start()
        return self

    def stop(self) -> None:
        """Stops listening and cuts every connection."""
        self.stopping.set()
        _cut(self._listener)
        self.disconnect_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add_to_script(self, step: str, *acts: Act | str | bytes | None) -> None:
        if step not in STEPS:
            raise ValueError(f"no such step: {step}")
        with self._lock:
            self._script.setdefault(step, []).extend(
                act if isinstance(act, Act) else Act(act) for act in acts
            )

    def disconnect_all(self) -> None:
        """Cuts every connection, as a server does that restarts; goes on listening."""
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            _cut(sock)

    def wait_for(self, count: int, seconds: float = 5.0) -> list[Received]:
        """The messages, once there are `count`; raises `TimeoutError` where they do not come."""
        deadline = time.monotonic() + seconds
        while len(self.messages) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.messages)} of {count} messages came")
            time.sleep(0.005)
        return list(self.messages)

    # -- for the conversations

    def next_act(self, step: str) -> Act:
        with self._lock:
            acts = self._script.get(step)
            return acts.pop(0) if acts else Act()

    def note(self, line: str) -> None:
        with self._lock:
            self.log.append(line)

    def violation(self, connection: int, what: str) -> None:
        with self._lock:
            self.violations.append(f"connection {connection}: {what}")

    def keep(self, received: Received) -> None:
        with self._lock:
            if self._folder is not None:
                number = len(self.messages) + 1
                (self._folder / f"{number:05}.eml").write_bytes(received.data)
            self.messages.append(received)

    def replaced(self, old: socket.socket, new: socket.socket) -> None:
        with self._lock:
            self._open.discard(old)
            self._open.add(new)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock, peer), daemon=True).start()

    def _serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        with self._lock:
            self.connections += 1
            number = self.connections
            self._open.add(sock)
        conversation = Conversation(self, self._rules, sock, peer, number)
        with contextlib.suppress(HangUp, OSError):
            conversation.run()
        self._close(conversation.sock)

    def _close(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.discard(sock)
        _cut(sock)


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
