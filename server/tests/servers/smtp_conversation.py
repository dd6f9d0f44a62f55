"""One connection to the scripted SMTP server: its commands and their rules."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.servers.smtp_script import Act, Received


class HangUp(Exception):
    """The conversation is over, by either side."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the server offers and asks for; see `SmtpServer`."""

    users: Mapping[str, str]
    tokens: Mapping[str, str]
    mechanisms: tuple[str, ...]
    security: str
    context: ssl.SSLContext | None
    size_limit: int | None
    smtputf8: bool
    pipelining: bool
    esmtp: bool


class Host(Protocol):
    """The server, as far as a conversation needs it."""

    host: str
    stopping: threading.Event

    def next_act(self, step: str) -> Act: ...
    def note(self, line: str) -> None: ...
    def violation(self, connection: int, what: str) -> None: ...
    def keep(self, received: Received) -> None: ...
    def replaced(self, old: socket.socket, new: socket.socket) -> None: ...


class Conversation:
    """Talks to one client until either side hangs up; all acts come from the server's script."""

    def __init__(
        self, server: Host, rules: Rules, sock: socket.socket, peer: tuple[str, int], number: int
    ) -> None:
        self._server = server
        self._rules = rules
        self.sock = sock
        self._peer = peer
        self._number = number
        self._buffer = bytearray()
        self._client = ""
        self._user: str | None = None
        self._tls = False
        self._forget()

    def run(self) -> None:
        """Returns by raising `HangUp` or an OSError, never otherwise."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._rules.security == "tls":
            self._start_tls()
        self._answer("CONNECT", f"220 {self._server.host} ESMTP ready")
        while True:
            self._command()

    def _forget(self) -> None:
        """Ends the mail transaction (RFC 5321, 4.1.1.5)."""
        self._sender: str | None = None
        self._options: tuple[str, ...] = ()
        self._recipients: list[str] = []

    def _start_tls(self) -> None:
        assert self._rules.context is not None
        plain = self.sock
        self.sock = self._rules.context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )
        self._server.replaced(plain, self.sock)
        self.sock.do_handshake()
        self._tls = True

    def _perform(self, act: Act) -> None:
        """The waiting and the hanging up of an act."""
        if act.delay:
            self._server.stopping.wait(act.delay)
        while act.until is not None and not self._server.stopping.is_set():
            if act.until.wait(0.02):
                break
        if act.drop:
            if act.reset:
                linger = struct.pack("ii", 1, 0)
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.sock.close()
            raise HangUp

    def _answer(self, step: str, usual: str) -> bool:
        """Plays the step's act; True where the reply is of the usual kind (2, 3, 4 or 5)."""
        return self._say(self._server.next_act(step), usual)

    def _say(self, act: Act, usual: str) -> bool:
        self._perform(act)
        reply = usual if act.reply is None else act.reply
        as_usual = isinstance(reply, str) and reply[0] == usual[0]
        if isinstance(reply, str):
            lines = reply.split("\n")
            code, rest = lines[0][:3], [lines[0][4:], *lines[1:]]
            joined = [f"{code}-{line}\r\n" for line in rest[:-1]] + [f"{code} {rest[-1]}\r\n"]
            reply = "".join(joined).encode()
        self.sock.sendall(reply)
        if act.close:
            raise HangUp
        return as_usual

    def _read(self) -> None:
        chunk = self.sock.recv(262_144)
        if not chunk:
            raise HangUp
        self._buffer += chunk

    def _line(self) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > 12_288:
                self._server.violation(self._number, "command line too long")
                raise HangUp
            self._read()
        raw = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not raw.endswith(b"\r\n"):
            self._server.violation(self._number, f"a command does not end in CRLF: {raw!r}")
        return raw.rstrip(b"\r\n").decode("utf-8", "surrogateescape")

    # -- commands

    def _command(self) -> None:
        line = self._line()
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        self._server.note(" ".join(line.split(" ")[:2]) if verb == "AUTH" else line)
        if self._buffer and (
            not self._rules.pipelining
            or verb in {"EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT"}
        ):
            # RFC 2920, 3.1: these must be the last of a group.
            self._server.violation(self._number, f"{verb} was followed by more without waiting")
        handler = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }.get(verb)
        if handler is None:
            self._answer("*", "500 5.5.2 command not recognised")
        else:
            handler(rest)

    def _ehlo(self, rest: str) -> None:
        if not self._rules.esmtp:
            self._answer("EHLO", "502 5.5.1 EHLO not implemented")
            return
        offers = [self._server.host, "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self._rules.pipelining:
            offers.append("PIPELINING")
        if self._rules.size_limit is not None:
            offers.append(f"SIZE {self._rules.size_limit}")
        if self._rules.smtputf8:
            offers.append("SMTPUTF8")
        if self._rules.security == "starttls" and not self._tls:
            offers.append("STARTTLS")
        elif self._rules.mechanisms:
            offers.append("AUTH " + " ".join(self._rules.mechanisms))
        self._client = rest
        self._forget()
        self._answer("EHLO", "250 " + "\n".join(offers))

    def _helo(self, rest: str) -> None:
        self._client = rest
        self._forget()
        self._answer("HELO", f"250 {self._server.host}")

    def _starttls(self, _: str) -> None:
        if self._rules.security != "starttls" or self._tls:
            self._answer("STARTTLS", "503 5.5.1 STARTTLS not available")
        elif self._answer("STARTTLS", "220 2.0.0 go ahead"):
            self._buffer.clear()
            self._start_tls()
            self._client = ""
            self._forget()

    def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        mechanism = mechanism.upper()
        act = self._server.next_act("AUTH")
        if mechanism not in self._rules.mechanisms:
            self._say(act, "504 5.5.4 mechanism not offered")
            return
        if self._rules.security == "starttls" and not self._tls:
            self._server.violation(self._number, "AUTH before STARTTLS")
            self._say(act, "538 5.7.11 encryption required")
            return
        try:
            user = self._credentials(mechanism, initial)
        except ValueError:
            self._say(act, "501 5.5.2 cannot decode")
            return
        if user is None:
            self._say(act, "535 5.7.8 authentication credentials invalid")
        elif self._say(act, "235 2.7.0 authentication successful"):
            self._user = user

    def _credentials(self, mechanism: str, initial: str) -> str | None:
        """The user who proved to be one (RFC 4954, 4616), or None."""

        def ask(prompt: str) -> str:
            self.sock.sendall(f"334 {base64.b64encode(prompt.encode()).decode()}\r\n".encode())
            return self._line()

        if mechanism == "LOGIN":
            user = _unbase64(initial or ask("Username:"))
            password = _unbase64(ask("Password:"))
            return user if self._rules.users.get(user) == password else None
        if mechanism == "PLAIN":
            parts = _unbase64(initial or ask("")).split("\0")
            if len(parts) != 3:
                raise ValueError("AUTH PLAIN needs three parts")
            return parts[1] if self._rules.users.get(parts[1]) == parts[2] else None
        found = re.fullmatch("user=(.*)\x01auth=Bearer (.*)\x01\x01", _unbase64(initial or ask("")))
        if found and self._rules.tokens.get(found[1]) == found[2]:
            return found[1]
        # XOAUTH2 explains a failure in a challenge, which the client answers with an empty line.
        ask('{"status":"401","schemes":"bearer"}')
        return None

    def _mail(self, rest: str) -> None:
        found = re.fullmatch(r"FROM:<([^<>]*)>((?: \S+)*)", rest, re.IGNORECASE)
        if not self._client:
            usual = "503 5.5.1 say EHLO first"
        elif self._rules.mechanisms and self._user is None:
            usual = "530 5.7.0 authentication required"
        elif self._rules.security == "starttls" and not self._tls:
            usual = "530 5.7.0 STARTTLS first"
        elif found is None:
            usual = "501 5.5.4 syntax"
        elif self._sender is not None:
            usual = "503 5.5.1 nested MAIL"
        else:
            options = tuple(found[2].upper().split())
            size = next((int(o[5:]) for o in options if re.fullmatch(r"SIZE=\d+", o)), 0)
            if "SMTPUTF8" in options and not self._rules.smtputf8:
                usual = "555 5.5.4 SMTPUTF8 not offered"
            elif not found[1].isascii() and "SMTPUTF8" not in options:
                usual = "553 5.6.7 address needs SMTPUTF8"
            elif self._rules.size_limit is not None and size > self._rules.size_limit:
                usual = f"552 5.3.4 message over the limit of {self._rules.size_limit}"
            else:
                if self._answer("MAIL", "250 2.1.0 sender ok"):
                    self._sender, self._options = found[1], options
                return
        self._answer("MAIL", usual)

    def _rcpt(self, rest: str) -> None:
        found = re.fullmatch(r"TO:<([^<>\s]+)>((?: \S+)*)", rest, re.IGNORECASE)
        if self._sender is None:
            usual = "503 5.5.1 MAIL first"
        elif found is None:
            usual = "501 5.5.4 syntax"
        elif not found[1].isascii() and "SMTPUTF8" not in self._options:
            usual = "553 5.6.7 address needs SMTPUTF8"
        else:
            if self._answer("RCPT", "250 2.1.5 recipient ok"):
                self._recipients.append(found[1])
            return
        self._answer("RCPT", usual)

    def _data(self, _: str) -> None:
        if self._sender is None:
            self._answer("DATA", "503 5.5.1 MAIL first")
        elif not self._recipients:
            self._answer("DATA", "554 5.5.1 no valid recipients")
        elif self._answer("DATA", "354 end with a dot"):
            self._text()

    def _text(self) -> None:
        if not self._buffer:
            self._read()
        self._perform(self._server.next_act("TEXT"))
        seen = 0
        while not self._buffer.startswith(b".\r\n"):
            if (found := self._buffer.find(b"\r\n.\r\n", seen)) >= 0:
                break
            seen = max(0, len(self._buffer) - 4)
            self._read()
        else:
            found = -2
        stuffed = bytes(self._buffer[: found + 2])
        del self._buffer[: found + 5]
        fault = self._fault(stuffed)
        if fault:
            self._server.violation(self._number, fault)
        text = re.sub(rb"(?m)^\.", b"", stuffed)
        usual = "250 2.0.0 kept"
        if fault:
            usual = f"554 5.6.0 {fault}"
        elif self._rules.size_limit is not None and len(text) > self._rules.size_limit:
            usual = f"552 5.3.4 message over the limit of {self._rules.size_limit}"
        act = self._server.next_act("DOT")
        keep = act.keep
        if keep is None:
            reply = act.reply if act.reply is not None else usual
            keep = not act.drop and isinstance(reply, str) and reply.startswith("2")
        if keep:
            self._server.keep(self._received(text))
        self._forget()
        self._say(act, usual)

    def _received(self, text: bytes) -> Received:
        assert self._sender is not None
        return Received(
            data=text,
            sender=self._sender,
            recipients=tuple(self._recipients),
            mail_options=self._options,
            helo=self._client,
            user=self._user,
            tls=self._tls,
            peer=self._peer,
            connection=self._number,
        )

    def _fault(self, text: bytes) -> str:
        if re.search(rb"\r(?!\n)|(?<!\r)\n", text):
            return "bare CR or LF"
        if b"\0" in text:
            return "a NUL"
        if max(map(len, text.split(b"\r\n"))) > 999:  # one more for a stuffed dot
            return "line over 998 octets"
        if not text.isascii() and not {"BODY=8BITMIME", "SMTPUTF8"} & set(self._options):
            return "eight-bit text that was not announced"
        return ""

    def _rset(self, _: str) -> None:
        self._forget()
        self._answer("RSET", "250 2.0.0 ok")

    def _noop(self, _: str) -> None:
        self._answer("NOOP", "250 2.0.0 ok")

    def _quit(self, _: str) -> None:
        self._answer("QUIT", "221 2.0.0 bye")
        raise HangUp


def _unbase64(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()
