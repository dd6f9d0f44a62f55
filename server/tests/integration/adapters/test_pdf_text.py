from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from app.mailer.adapters import pdf_text as pdf_text_module
from app.mailer.adapters.pdf_text import pdf_text
from app.mailer.domain.files.expected_text import contains_text
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


def bomb(content: bytes) -> bytes:
    """A small PDF whose page unpacks to much more."""
    packed = zlib.compress(content, 9)
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>"
    pages = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
    parts = [b"<< /Type /Catalog /Pages 2 0 R >>", pages, page, stream]
    objects = b"".join(b"%d 0 obj\n%s\nendobj\n" % item for item in enumerate(parts, 1))
    return b"%PDF-1.7\n" + objects + b"trailer << /Root 1 0 R /Size 5 >>\n%%EOF\n"


def test_a_pdf_that_breaks_the_reader_breaks_nothing_else() -> None:
    with pytest.raises(ValueError, match="far too large inside"):
        pdf_text(bomb(b"q " * 20_000_000))
    assert pdf_text(tiny_pdf(["No. 4711"])).strip() == "No. 4711"


def test_a_pdf_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pdf_text(tiny_pdf(["No. 1"])).strip() == "No. 1"
    monkeypatch.setattr(pdf_text_module, "MAX_SECONDS", 0.2)
    with pytest.raises(ValueError, match="too long"):
        pdf_text(bomb(b"BT /F 12 Tf (x) Tj ET " * 400_000))
    monkeypatch.undo()
    assert pdf_text(tiny_pdf(["No. 2"])).strip() == "No. 2"


def test_the_reader_ends_with_the_program() -> None:
    program = (
        "import sys; from app.mailer.adapters import pdf_text as module\n"
        "module.pdf_text(sys.stdin.buffer.read()); print(module._READING._process.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=tiny_pdf(["x"]),
        capture_output=True,
        check=True,
        cwd=Path(pdf_text_module.__file__).parents[3],
    )
    assert not Path(f"/proc/{int(done.stdout)}").exists()
    assert done.stderr == b""


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
