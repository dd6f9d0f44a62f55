from __future__ import annotations

import hashlib
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from app.mailer.adapters.pdf_text import pdf_text
from app.mailer.domain.expected_text import contains_text
from app.mailer.ports import PdfText

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "bench"))
from pdf import tiny_pdf

_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def locked_pdf(password: bytes) -> bytes:
    """A PDF that wants `password` (ISO 32000-1, 7.6.3: RC4 of 40 bits)."""

    def rc4(key: bytes, data: bytes) -> bytes:
        return Cipher(ARC4(key), mode=None).encryptor().update(data)

    padded = (password + _PADDING)[:32]
    owner = rc4(hashlib.md5(padded).digest()[:5], padded)
    rights = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + owner + rights + b"id").digest()[:5]
    user = rc4(key, _PADDING)
    lock = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<6964> <6964>]"
    lock %= (owner.hex().encode(), user.hex().encode())
    data = tiny_pdf(["No. 4711"]).replace(b"/Root 1 0 R", b"/Root 1 0 R " + lock)
    content = data.partition(b"stream\n")[2].partition(b"\nendstream")[0]
    return data.replace(content, rc4(hashlib.md5(key + b"\5\0\0\0\0").digest()[:10], content))


def test_the_text_of_a_page() -> None:
    read: PdfText = pdf_text
    text = read(tiny_pdf(["Rechnung Nr. 4711", "für Jörg Groß (Büro) \\ 5 €"]))
    assert contains_text(text, "für Jörg Groß (Büro) \\ 5 €")
    assert contains_text(text, "4711")
    assert not contains_text(text, "471")


def test_padding_changes_the_size_and_not_the_text() -> None:
    for size in (0, 1000, 2000, 50_000, 1_500_000):
        data = tiny_pdf(["No. 4711"], size)
        assert len(data) == size or size == 0
        assert pdf_text(data).strip() == "No. 4711"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PDF"),
        (b"Dear Ada", "not a PDF"),
        (tiny_pdf(["x"])[:300], "damaged"),
        (tiny_pdf([]), "no text"),
        (tiny_pdf([" "]), "no text"),
        (locked_pdf(b"pw"), "wants a password"),
    ],
)
def test_what_has_no_text_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pdf_text(data)


def test_a_pdf_with_an_empty_password_is_read() -> None:
    assert pdf_text(locked_pdf(b"")) == "No. 4711"


def test_many_threads_may_read() -> None:
    data = [tiny_pdf([f"No. {number}"]) for number in range(50)]
    texts: dict[int, str] = {}

    def work(number: int) -> None:
        texts[number] = pdf_text(data[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(texts[number].strip() == f"No. {number}" for number in range(50))
