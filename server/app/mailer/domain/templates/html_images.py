"""The images that an HTML body shows: each by the content id of an image that comes with it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote

_IMAGE = re.compile(r"<img\b[^<>]*?\ssrc\s*+=\s*+[\"']?+\s*+([^\"'\s>]+)", re.IGNORECASE)
_CONTENT_ID = re.compile(r"\bcid:([^\"'\s>)&]+)", re.IGNORECASE)
_ELSEWHERE = re.compile(r"(?:https?:|data:|cid:)", re.IGNORECASE)
_FILLED_IN = re.compile(r"\$\{|\{\{|\{%")


def image_faults(html: str, cids: Collection[str]) -> Iterator[tuple[str | None, str]]:
    """What recipients would not see as it is meant, as sentences: broken images, and idle ones.

    Each with the content id of the inline image that it is about, or None for one about the HTML.
    What a placeholder fills in is left out, for only the letter tells it.
    """
    asked = dict.fromkeys(unquote(found) for found in _CONTENT_ID.findall(html))
    known = [cid for cid in asked if not _FILLED_IN.search(cid)]
    for cid in known:
        if cid not in cids:
            yield None, f"The HTML shows “cid:{cid}”, but there is no inline image of that id."
    for source in dict.fromkeys(_IMAGE.findall(html)):
        if not _ELSEWHERE.match(source) and not _FILLED_IN.search(source):
            yield None, f"The HTML shows “{source[:100]}”, a file that no recipient has."
    if len(known) == len(asked):
        for cid in cids:
            if cid not in asked:
                yield cid, f"The HTML does not show the inline image “{cid}”."
