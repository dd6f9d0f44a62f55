from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.mailer.adapters.clamav import ClamAv
from app.mailer.domain.errors import ScannerFailed
from tests.servers.clamd import EICAR, Clamd


@pytest.fixture
def clamd() -> Iterator[Clamd]:
    with Clamd() as server:
        yield server


def verdict(address: str, *chunks: bytes) -> str | None:
    with ClamAv(address)() as scan:
        for chunk in chunks:
            scan.feed(chunk)
        return scan.verdict()


def test_a_stream_is_one_whatever_its_chunks(clamd: Clamd) -> None:
    assert verdict(clamd.address, b"a", b"", b"bc") is None
    assert verdict(clamd.address) is None
    assert verdict(clamd.address, EICAR[:10], EICAR[10:]) == "Eicar-Test-Signature"
    assert clamd.scanned == [b"abc", b"", EICAR]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [("silent", "no verdict"), ("limit", "size limit exceeded"), ("error", "allocate memory")],
)
def test_no_verdict_is_an_error(clamd: Clamd, behaviour: str, words: str) -> None:
    clamd.behaviour = behaviour
    with pytest.raises(ScannerFailed, match=words):
        verdict(clamd.address, *[bytes(500_000)] * 20)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "/nowhere/clamd.sock"])
def test_a_scanner_that_is_away(address: str) -> None:
    with pytest.raises(ScannerFailed, match=address):
        verdict(address, b"abc")


def test_a_unix_socket(tmp_path: Path, clamd: Clamd) -> None:
    path = tmp_path / "clamd.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            there, _ = listening.accept()
            clamd._talk(there)

        thread = threading.Thread(target=answer)
        thread.start()
        assert verdict(str(path), b"abc") is None
        thread.join()
    assert clamd.scanned == [b"abc"]
