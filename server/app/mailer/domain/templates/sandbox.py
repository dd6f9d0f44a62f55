"""Jinja2's sandbox for letters, with a budget.

Jinja2's own sandbox keeps a template away from Python's internals, but not from `'a' * 10**10`.
Here all work is paid for (`budget`), and filters and methods are only those that a letter needs
and whose cost is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import Any, Final

from jinja2 import StrictUndefined, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from app.mailer.domain.templates.budget import (
    MAX_SIZE,
    STEP,
    Budget,
    BudgetedContext,
    Refused,
    budget_of,
    check_bits,
    length,
    operands,
    pay_for_format,
    pay_for_product,
    pay_for_text,
    scalar,
)
from app.mailer.domain.templates.metering import PRIVATE_FILTERS, turns, written


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEXT_METHODS: Final = _words(
    "capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit "
    "isidentifier islower isnumeric isprintable isspace istitle isupper lower lstrip partition "
    "removeprefix removesuffix rfind rindex rpartition rsplit rstrip split splitlines startswith "
    "strip swapcase title upper"
)
_LOOP_NAMES: Final = _words(
    "changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0"
)
_FILTERS: Final = _words(
    "abs batch capitalize center count d default e escape first float format groupby indent int "
    "last length list lower map max min reject rejectattr reverse round select selectattr sort "
    "string sum title trim truncate unique upper urlencode wordcount"
)
_OF_TEXT: Final = _words(
    "capitalize center e escape format indent lower string title trim truncate upper urlencode "
    "wordcount"
)
_SIZED: Final = frozenset({"batch", "center", "indent", "round"})


class FieldValues:
    """The fields of an entry or row as a template sees them: `local.name` or `local["name"]`."""

    __slots__ = ("_values",)
    __iter__ = None

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def __getitem__(self, name: object) -> object:
        if isinstance(name, str) and name in self._values:
            return self._values[name]
        raise Refused(
            f"There is no field “{name}” here. There are: {', '.join(sorted(self._values))}."
        )


class LetterSandbox(ImmutableSandboxedEnvironment):
    """The environment for letters: no loader, undefined names are errors, work is paid for.

    `compile` only what `Metered` has rewritten, and render in a `BudgetedContext`.
    """

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    context_class = BudgetedContext

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=html,
            optimized=False,  # else constants are worked out at compile time, with no budget
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            finalize=written,
        )
        self.globals = {
            name: function
            for name, function in self.globals.items()
            if name in {"range", "namespace"}
        }
        self.filters = {name: _guarded(name, FILTERS[name]) for name in _FILTERS}
        self.filters.update(PRIVATE_FILTERS, join=_join, replace=_replace)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, LoopContext):
            return attr in _LOOP_NAMES
        if isinstance(obj, Namespace):
            return not attr.startswith("_")
        if isinstance(obj, dict):
            return attr in {"get", "items", "keys", "values"}
        return isinstance(obj, tuple) and attr in {"grouper", "list"}  # of the filter groupby

    def wrap_str_format(self, value: Any) -> None:
        """`str.format` is no method of the sandbox's."""

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.spend(STEP)
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            pay_for_text(budget, owner)
            budget.weigh(args)
        result = super().call(context, obj, *args, **kwargs)
        budget.weigh(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget = budget_of(context)
        budget.spend(STEP)
        if operator == "+" and isinstance(left, (str, list, tuple)):
            budget.spend(len(left))
        elif operator == "*":
            pay_for_product(budget, left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            check_bits(left.bit_length() * abs(right))
        elif operator == "%" and isinstance(left, str):
            pay_for_format(budget, left, operands(right))
        result = super().call_binop(context, operator, left, right)
        budget.weigh(result)
        return result


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, paying for its work; `function` may want Jinja2's context before the value."""
    passed = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def guarded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.spend(STEP)
        if name in _OF_TEXT:
            scalar(value)
        if isinstance(value, str):
            pay_for_text(budget, value)
        else:
            budget.weigh(value)
        budget.weigh(args)
        budget.weigh(kwargs)
        _pay_ahead(budget, name, value, args, kwargs)
        lead: list[object] = []
        if passed is not None:
            known = {"context": context, "environment": context.environment}
            lead = [known.get(passed.name, context.eval_ctx)]
        result = function(*lead, value, *args, **kwargs)
        if isinstance(result, GeneratorType):
            result = list(turns(context, result))
        budget.weigh(result)
        return result

    return guarded


def _pay_ahead(
    budget: Budget, name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """For the filters whose result can be far larger than what they are given."""
    options = [*args, *kwargs.values()]
    if name in _SIZED:
        sizes = [
            option if isinstance(option, (int, float)) else length(option) for option in options
        ]
        if any(not -MAX_SIZE <= size <= MAX_SIZE for size in sizes):
            raise Refused(f"The filter “{name}” takes sizes up to {MAX_SIZE}.")
        if name == "indent":
            budget.spend(int(max(sizes, default=4)) * (1 + str(value).count("\n")))
    elif name == "format":
        pay_for_format(budget, str(value), options)
    elif name == "sum" and any(isinstance(option, (list, tuple)) for option in options):
        raise Refused("The filter “sum” adds numbers.")


@pass_context
def _join(
    context: Context, value: Iterable[object], d: object = "", attribute: object = None
) -> object:
    if attribute is None:
        items = list(turns(context, value))
    else:
        items = context.environment.call_filter(
            "map", value, kwargs={"attribute": attribute}, context=context
        )
    between = length(scalar(d))
    budget_of(context).spend(sum(between + length(scalar(item)) for item in items))
    return FILTERS["join"](context.eval_ctx, items, d)


@pass_context
def _replace(context: Context, value: object, old: object, new: object, count: int = -1) -> object:
    text, found, instead = (str(scalar(part)) for part in (value, old, new))
    budget = budget_of(context)
    pay_for_text(budget, text)
    budget.spend(STEP + text.count(found) * len(instead))
    return FILTERS["replace"](context.eval_ctx, value, found, instead, count)
