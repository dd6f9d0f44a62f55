"""Kinds of text that requests hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from app.api.forms import FILLED_LINE, form

#: No control character; half a surrogate pair, which no database takes, does not fit it either.
_VISIBLE = r"[^\x00-\x1f\x7f]"
_INK = r"[^\s\x00-\x1f\x7f]"
_LINE = form(rf"^{_INK}({_VISIBLE}*{_INK})?$", "one line, without spaces before and after it")
_WORD = form(rf"^{_INK}+$", "one line, without spaces")
_SCOPE = form(r"^(\*|[a-z]+:(\*|[a-z-]+))$", "a scope like `files:read`, `files:*` or `*`")

#: One line for people, with something to see at both ends.
Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=_LINE),
]
#: A mail address, as long as one can be.
Address = Annotated[str, StringConstraints(min_length=3, max_length=254, pattern=_WORD)]
#: What somebody types to prove who he is.
Typed = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024, pattern=FILLED_LINE),
    Field(examples=["correct horse battery staple"]),
]
#: For examples of new passwords: valid to a schema, but what everybody can read is set for nobody.
TOO_SHORT = "your own"
#: One scope or family; which there are, GET /admin/scopes tells.
ScopeText = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=_SCOPE)]


def unsent() -> Any:
    """The default of a member that may be left out, but not be null: `model_fields_set` tells."""
    return None
