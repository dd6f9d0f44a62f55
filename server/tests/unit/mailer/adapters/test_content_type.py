"""What a file is, and whether its name may say otherwise."""

from __future__ import annotations

import pytest

from app.mailer.adapters.content_type import content_type
from app.mailer.domain.errors import WrongContent
from app.mailer.domain.files.disguise import media_type_of

PROGRAM = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff" + bytes(50)
ZIP = b"PK\3\4" + bytes(50)


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"", "application/x-empty"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"junk before\n%PDF-1.7\n\0", "application/pdf"),
        (b"<html> %PDF-1.7", "text/html"),
        (PROGRAM, "application/x-executable"),
        (b"\x7fELF\2\1\1" + bytes(50), "application/x-executable"),
        (b"MZ is how this letter begins.", "text/plain"),
        (b"#!/bin/sh\n", "text/x-script"),
        (ZIP, "application/zip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(8), "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"a;b\n1;2\n", "text/plain"),
        ("Müller".encode("cp1252"), "text/plain"),
        ("\ufeffMüller".encode("utf-16-le"), "text/plain"),
        (b" <!-- x -->\n<!DOCTYPE html>", "text/html"),
        (b"\xef\xbb\xbf<html>", "text/html"),
        (bytes(range(32)), "application/octet-stream"),
    ],
)
def test_the_bytes_tell(head: bytes, media_type: str) -> None:
    assert content_type(head) == media_type


@pytest.mark.parametrize(
    ("path", "head", "media_type"),
    [
        ("a/b.pdf", b"%PDF-1.7\n", "application/pdf"),
        ("b.csv", b"a;b\n", "text/csv"),
        ("b.json", b'{"a": 1}', "application/json"),
        ("b.XLSX", ZIP, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("b.pdf", b"", "application/x-empty"),
        ("setup.exe", PROGRAM, "application/x-executable"),
        ("run.sh", b"#!/bin/sh\n", "text/x-script"),
        ("noending", b"%PDF-1.7\n", "application/pdf"),
        (".csv", PROGRAM, "application/x-executable"),
        ("v1.2/b", b"text", "text/plain"),
    ],
)
def test_the_name_chooses_among_what_looks_alike(path: str, head: bytes, media_type: str) -> None:
    assert media_type_of(path, content_type(head)) == media_type


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.pdf", PROGRAM),
        ("a.pdf", b"\x7fELF\2\1\1" + bytes(50)),
        ("a.pdf", b"#!/bin/sh\n"),
        ("a.pdf", b"<html><script>alert(1)</script> %PDF-1.7"),
        ("A.PDF", ZIP),
        ("a.csv", PROGRAM),
        ("a.docx", PROGRAM),
        ("a.txt", b"#!/usr/bin/env python\n"),
        ("a.jpg", b"\x89PNG\r\n\x1a\n" + bytes(8)),
        ("a.csv", bytes(range(32))),
    ],
)
def test_a_disguise_is_seen(name: str, head: bytes) -> None:
    with pytest.raises(WrongContent, match=name):
        media_type_of(f"2026/{name}", content_type(head))
