"""What one rendering of a template may cost, and what its parts cost.

Every loop turn, call and operation, and every character and item that one makes, is paid for from
one budget; what could be large is paid for before it is made. So neither time nor memory runs
away, whatever the template does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, cast

from jinja2 import Undefined
from jinja2.runtime import Context

from app.mailer.domain.templates.placeholders import MAX_OUTPUT

#: Units of work for one rendering: at most a million loop turns, a quarter of a million calls or
#: operations, or `MAX_OUTPUT` characters. All of it takes a second or two.
BUDGET: Final = 50_000_000
TURN: Final = 50
STEP: Final = 200
_ITEM: Final = 40
OUTPUT: Final = BUDGET // MAX_OUTPUT
MAX_TEXT: Final = 1_000_000  # characters that a filter or a method takes
MAX_SIZE: Final = 1000  # a width, an indent, a precision
_MAX_BITS: Final = 4096

_SCALARS: Final = (str, int, float, Decimal)
_NAMES: Final[dict[type, str]] = {
    list: "A list (use a loop, or the filter “join”)",
    tuple: "A list (use a loop, or the filter “join”)",
    range: "A range (use a loop)",
}
# Python's format strings make any width; letters need small ones.
_WIDE_FORMAT = re.compile(r"\*|[0-9]{4}|%\([^)]*\(")


class Refused(Exception):
    """The template does something that the sandbox does not allow; the text is a sentence."""


class Budget:
    """The work that is left for one rendering."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = BUDGET

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise Refused("The template does too much work, or its text grows too large.")

    def weigh(self, value: object) -> None:
        """Pay for all that a value holds, however deep; what is shared is paid for each time."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, (list, tuple)):
            self.spend(_ITEM * (1 + len(value)))
            for item in value:
                self.weigh(item)
        elif isinstance(value, dict):
            self.spend(_ITEM * (1 + len(value)))
            for key, item in value.items():
                self.weigh(key)
                self.weigh(item)
        else:
            self.spend(1)


class BudgetedContext(Context):
    """The names of one rendering, with its budget (out of reach for the template)."""

    budget: Budget


def budget_of(context: Context) -> Budget:
    return cast("BudgetedContext", context).budget


def scalar(value: object) -> object:
    """The value if letters can show it; an undefined one raises by itself."""
    if isinstance(value, Undefined):
        str(value)
    if not isinstance(value, _SCALARS):
        kind = "“none”" if value is None else _NAMES.get(type(value), "An object")
        raise Refused(f"{kind} is not text that a letter can show.")
    return value


def length(value: object) -> int:
    """How long a scalar is as text."""
    return len(value if isinstance(value, str) else str(value))


def pay_for_text(budget: Budget, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise Refused(f"A filter or method takes text of at most {MAX_TEXT:,} characters.")
    budget.spend(len(text))


def pay_for_product(budget: Budget, left: object, right: object) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, (str, list, tuple)) and isinstance(times, int):
            budget.spend(_ITEM * len(sequence) * max(times, 0))
    if isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() + right.bit_length())


def check_bits(bits: int) -> None:
    if bits > _MAX_BITS:
        raise Refused("A number grows too large.")


def operands(right: object) -> list[object]:
    if isinstance(right, dict):
        return list(right.values())
    return list(right) if isinstance(right, tuple) else [right]


def pay_for_format(budget: Budget, pattern: str, operands: Iterable[object]) -> None:
    if _WIDE_FORMAT.search(pattern):
        raise Refused("A format may have widths up to 999.")
    longest = max((length(scalar(operand)) for operand in operands), default=0)
    budget.spend(len(pattern) + pattern.count("%") * (MAX_SIZE + longest))
