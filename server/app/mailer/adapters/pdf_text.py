"""The text of a PDF, read by PDFium."""

from __future__ import annotations

import threading

import pypdfium2

#: PDFium keeps global state and is not thread-safe: one call in the process at a time.
_PDFIUM = threading.Lock()


def pdf_text(data: bytes) -> str:
    """The text of all pages, a form feed between two (`ports.PdfText`).

    Raises `ValueError` with the reason for what is no PDF, is damaged, wants a password, or holds
    no text at all, as a scanned page does.
    """
    with _PDFIUM:
        try:
            pages = _pages(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).casefold():
                raise ValueError("the PDF wants a password") from None
            raise ValueError("the file is not a PDF, or is damaged") from None
    text = "\f".join(pages)
    if not text.strip():
        raise ValueError("the PDF holds no text (is it a scan?)")
    return text


def _pages(data: bytes) -> list[str]:
    texts: list[str] = []
    # Closed one by one: left to the garbage collector, PDFium could run outside of the lock.
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
