"""Line breaks behind Jinja2 blocks: gone where blocks stand alone on a line, kept elsewhere.

Jinja2's `trim_blocks` takes them away behind every block, also in
`Dear {% if local.title %}{{ local.title }}{% endif %}`, whose line would run into the next one.
"""

from __future__ import annotations

import re

_TAG = re.compile(
    r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}"
    r"|\{%.*?%\}|\{#.*?#\}|(?P<shown>\{\{.*?\}\})",
    re.DOTALL,
)
_BREAKS = ("\n", "\r\n")


def keep_line_breaks(source: str) -> str:
    """The template with a `+` in each tag whose line break has to stay; lines stay as they are.

    For a template that has been through the lexer: the end of a tag that has none is looked for
    again and again.
    """
    pieces: list[str] = []
    end = 0
    alone = True  # nothing but blanks and tags on this line so far
    for tag in _TAG.finditer(source):
        between = source[end : tag.start()]
        text, shown = tag.group(), tag["shown"] is not None
        blank = not between.rpartition("\n")[2].strip()
        alone = (alone or "\n" in between) and blank and not shown
        if (
            not alone
            and not shown
            and source.startswith(_BREAKS, tag.end())
            and text[-3] not in "-+"
        ):
            text = f"{text[:-2]}+{text[-2:]}"
        pieces += (between, text)
        end = tag.end()
    return "".join([*pieces, source[end:]])
