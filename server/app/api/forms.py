"""What the patterns of texts mean, for people who sent something else."""

from __future__ import annotations

_WORDS: dict[str, str] = {}


def form(pattern: str, words: str) -> str:
    """`pattern`, and how it is said to whoever does not keep to it."""
    _WORDS[pattern] = words
    return pattern


def in_words(pattern: str) -> str | None:
    """What `form` was told of a pattern."""
    return _WORDS.get(pattern)


#: A text of one line, perhaps an empty one.
ONE_LINE = form(r"^[^\x00-\x1f\x7f]*$", "one line, without control characters")
FILLED_LINE = form(r"^[^\x00-\x1f\x7f]+$", "one line, without control characters")
#: A text with line breaks and tabs.
LINES = form(r"^[^\x00-\x08\x0e-\x1f\x7f]*$", "text without control characters")
SIX_DIGITS = form(r"^[0-9]{3} ?[0-9]{3}$", "six digits")
