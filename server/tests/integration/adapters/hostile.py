"""Servers of this machine that mean harm: each is a function that is handed the connection."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Say = Callable[[bytes], object]
Act = Callable[[Say, bytes], object]


@contextmanager
def serving(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """Serves every connection by `talk`, until the block ends; gives the port."""
    open_: list[socket.socket] = []

    def one(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), sock:
            talk(sock)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                open_.append(listener.accept()[0])
                threading.Thread(target=one, args=(open_[-1],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for sock in open_:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def endless(words: bytes) -> Act:
    """Says it again and again, as fast as it can."""

    def act(say: Say, _tag: bytes) -> None:
        while True:
            say(words)

    return act


def dripping(words: bytes) -> Act:
    """Says it again and again, always before the other side loses its patience."""

    def act(say: Say, _tag: bytes) -> None:
        while True:
            say(words)
            time.sleep(0.05)

    return act


def once(words: bytes) -> Act:
    """Says it, with the command's tag for `TAG`, and leaves the connection open."""

    def act(say: Say, tag: bytes) -> None:
        say(words.replace(b"TAG", tag))

    return act


_IMAP = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN NAMESPACE\r\n",
    "LIST": b'* LIST (\\Sent) "/" "Sent"\r\n',
    "NAMESPACE": b'* NAMESPACE (("" "/")) NIL NIL\r\n',
    "EXAMINE": b"* 0 EXISTS\r\n",
    "UID SEARCH": b"* SEARCH 1\r\n",
    "UID FETCH": b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID)] {2}\r\n\r\n)\r\n",
}


def imap(acts: Mapping[str, Act]) -> Callable[[socket.socket], None]:
    """An IMAP server that does `acts` at these commands (`GREETING` among them), else its work."""

    def talk(sock: socket.socket) -> None:
        file = sock.makefile("rb")
        acts.get("GREETING", once(b"* OK hello\r\n"))(sock.sendall, b"")
        for line in file:
            tag, name, *rest = line.split()
            command = name.decode().upper()
            if command == "UID":
                command += f" {rest[0].decode().upper()}"
            if act := acts.get(command):
                act(sock.sendall, tag)
                continue
            if command == "AUTHENTICATE":
                sock.sendall(b"+ \r\n")
                file.readline()
            elif command == "APPEND":
                sock.sendall(b"+ go on\r\n")
                size = re.search(rb"\{(\d+)", line)
                assert size is not None
                file.read(int(size[1]) + 2)
            sock.sendall(_IMAP.get(command, b"") + tag + b" OK done\r\n")

    return talk


def smtp(acts: Mapping[str, Act]) -> Callable[[socket.socket], None]:
    """An SMTP server that does `acts` at these commands (`GREETING` among them), else its work."""

    def talk(sock: socket.socket) -> None:
        file = sock.makefile("rb")
        acts.get("GREETING", once(b"220 hello\r\n"))(sock.sendall, b"")
        for line in file:
            command = line.split()[0].decode().upper()
            if act := acts.get(command):
                act(sock.sendall, b"")
            elif command == "EHLO":
                sock.sendall(b"250-me\r\n250 AUTH LOGIN\r\n")
            elif command == "DATA":
                sock.sendall(b"354 go on\r\n")
                while file.readline() not in (b".\r\n", b""):
                    pass
                acts.get("DOT", once(b"250 taken\r\n"))(sock.sendall, b"")
            else:
                sock.sendall(b"250 fine\r\n")

    return talk
