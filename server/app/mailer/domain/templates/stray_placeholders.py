"""Stray placeholders: what is one elsewhere and would reach the recipient as it stands.

A letter that came from another program, or was written for the other engine, says `{{name}}`,
`{name}`, `«Name»` or `${name}`, and everybody would read just that.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection

from app.mailer.domain.campaign.template import Engine

#: What the other engine fills in, whatever its name.
_FOREIGN: dict[Engine, re.Pattern[str]] = {
    "placeholders": re.compile(r"\{\{[^{}\n]{1,200}\}\}|\{%[^%\n]{1,200}%\}"),
    "jinja2": re.compile(r"\$\{(?!\{)[^{}\n]{1,200}\}"),
}
#: Marks that only count around the name of a field.
_MARKED = re.compile(
    r"(?<![${])\{(?P<brace>[^{}\n]{1,100})\}(?!\})"
    r"|«(?P<guillemets>[^«»\n]{1,100})»"
    r"|<<(?P<angles>[^<>\n]{1,100})>>"
    r"|%(?P<percent>[^%\s]{1,100})%"
)
_SCOPE = re.compile(r"(?:local|global)\s*(?:::|\.)\s*")


def stray_placeholders(source: str, engine: Engine, names: Collection[str]) -> list[str]:
    """The stray placeholders in a template's source, in order and each once, as they stand there.

    `names` are what fields are called, `key_of` each.
    """
    # Editors write « and < as entities.
    text = html.unescape(source) if "&" in source else source
    found = [(match.start(), match.group()) for match in _FOREIGN[engine].finditer(text)]
    found += [
        (match.start(), match.group())
        for match in _MARKED.finditer(text)
        if key_of(match[match.lastgroup or 0]) in names
    ]
    return list(dict.fromkeys(stray for _place, stray in sorted(found)))


def key_of(name: str) -> str:
    """A name without its scope, case, blanks, `_` and `-`."""
    bare = _SCOPE.sub("", name.strip(), count=1)
    return re.sub(r"[\s_-]+", "", bare).casefold()
