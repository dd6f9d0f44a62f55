"""Garbled text: letters that a wrong encoding has spoilt before they came here."""

from __future__ import annotations

import re

#: UTF-8 read as cp1252: "Ã¼" for "ü", "â€“" for "–", "Â§" for "§". Marks that people write
#: behind a capital Ã or Â themselves (quotes, blanks) do not count.
_MISREAD = re.compile(
    "Ã[\u0080-\u009f\u00a1-\u00ba\u00bc-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ•–—˜™š›œžŸ]"
    "|â€|â‚¬|Â[\u00a1-\u00aa\u00ac-\u00b3\u00b5-\u00ba\u00bc-\u00bf]"
)
_LOST = "\N{REPLACEMENT CHARACTER}"


def garbled(text: str) -> str | None:
    """What shows that `text` went through a wrong encoding, as a sentence; None for sound text."""
    if text.isascii():
        return None
    if (lost := text.find(_LOST)) >= 0:
        return f"In “{_around(text, lost)}” a character is lost, by reading in a wrong encoding."
    found = _MISREAD.search(text)
    if found is None:
        return None
    shown = _around(text, found.start())
    return f"“{shown}” has “{found.group()}”, which is UTF-8 that was read in a wrong encoding."


def _around(text: str, place: int) -> str:
    piece = text[max(0, place - 20) : place + 20]
    return " ".join(piece.split())
