"""Templates of `engine: "jinja2"`: loops and conditions over `local`, `global` and `rows`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from traceback import walk_tb
from typing import Final, NamedTuple, cast

import jinja2
from jinja2 import meta, nodes

from app.mailer.domain.entries.fields import typed
from app.mailer.domain.templates.budget import Budget, BudgetedContext
from app.mailer.domain.templates.line_breaks import keep_line_breaks
from app.mailer.domain.templates.metering import Metered
from app.mailer.domain.templates.placeholders import (
    MAX_PROBLEMS,
    MAX_SOURCE,
    Declared,
    Problem,
    ProblemKind,
    TemplateFailed,
    Values,
    is_blank,
    nearest,
    too_large,
)
from app.mailer.domain.templates.sandbox import FieldValues, LetterSandbox

_ROOTS: Final = ("local", "global", "rows")
_MAX_TOKENS: Final = 50_000  # parsing takes a second for these
_TEXT: Final = LetterSandbox(html=False)
_HTML: Final = LetterSandbox(html=True)
_NOT_HERE: Final[dict[type[nodes.Node], str]] = {
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
}


class _Use(NamedTuple):
    """A use of a declared field: `local.name`, `global.name`, or `row.name` in a loop over `rows`.

    The scope of the last one is `rows`, whatever its loop calls a row.
    """

    scope: str
    name: str


@dataclass(frozen=True, slots=True)
class JinjaTemplate:
    """A compiled template. One with `problems` cannot be rendered.

    `names` are the fields that it uses by name (all, where a name is worked out); `uses_local`
    says whether the text can differ from entry to entry.
    """

    problems: tuple[Problem, ...]
    names: frozenset[str]
    uses_local: bool
    uses_rows: bool
    _shown: tuple[_Use, ...]
    _declared: Declared
    _compiled: jinja2.Template | None

    def missing(self, values: Values, rows: Sequence[Mapping[str, str]] = ()) -> tuple[str, ...]:
        """The names of fields that the text shows and that are empty or blank.

        A field does not count where a condition on it, `or` or `default` provides for that.
        """
        return tuple(
            dict.fromkeys(
                use.name
                for use in self._shown
                if any(is_blank(text) for text in _texts(use, values, rows))
            )
        )

    def render(self, values: Values, rows: Sequence[Mapping[str, str]] = ()) -> str:
        """The text for one entry. Raises `TemplateFailed`, which never shows a secret."""
        template = self._compiled
        if template is None:
            raise TemplateFailed("The template has problems, so it cannot be rendered.")
        declared = self._declared
        context = cast(
            "BudgetedContext",
            template.new_context(
                {
                    "local": _fields(declared.local, values.local, declared.kinds),
                    "global": _fields(declared.global_, values.global_, declared.kinds),
                    "rows": [_fields(declared.local, row, declared.kinds) for row in rows],
                }
            ),
        )
        context.budget = Budget()
        try:
            return "".join(template.root_render_func(context))
        except Exception as error:
            message = _without_secrets(_sentence(error), declared, values, rows)
            raise TemplateFailed(message, _line(template, error)) from None


def compile_jinja(source: str, declared: Declared, *, html: bool = False) -> JinjaTemplate:
    """Read a template once; with `html` every value is escaped. What is wrong is in `problems`.

    Blocks such as `{% if … %}` alone on a line leave no empty line behind (`line_breaks`).
    """
    environment = _HTML if html else _TEXT
    if len(source) > MAX_SOURCE:
        return _broken(declared, too_large(source))
    try:
        if next(islice(environment.lex(source), _MAX_TOKENS, None), None) is not None:
            return _broken(declared, _problem("The template has too many parts.", 1))
        tree = environment.parse(keep_line_breaks(source))
        loops = _loops_over_rows(tree)
        problems = tuple(islice(_check(tree, declared, environment, loops), MAX_PROBLEMS))
        names = _names(tree, declared)
        shown: dict[_Use, None] = {}
        _collect_shown(tree, loops, frozenset(), shown)
        roots = {node.name for node in tree.find_all(nodes.Name)}
        compiled = None
        if not problems:
            metered = cast("nodes.Template", Metered().visit(tree))
            code = environment.compile(metered)
            compiled = jinja2.Template.from_code(environment, code, environment.globals)
    except jinja2.TemplateSyntaxError as error:
        return _broken(declared, _problem(f"{error.message}".rstrip(".") + ".", error.lineno))
    except (RecursionError, MemoryError):
        return _broken(declared, _problem("The template is nested too deeply.", 1))
    except (SyntaxError, ValueError, OverflowError) as error:
        return _broken(declared, _problem(f"The template cannot be read: {error}.", 1))
    return JinjaTemplate(
        problems,
        names,
        not roots.isdisjoint(("local", "rows")),
        "rows" in roots,
        tuple(shown),
        declared,
        compiled,
    )


def _broken(declared: Declared, problem: Problem) -> JinjaTemplate:
    return JinjaTemplate((problem,), frozenset(), False, False, (), declared, None)


def _problem(
    message: str,
    line: int,
    hint: str = "",
    name: str = "",
    kind: ProblemKind = ProblemKind.BAD_SYNTAX,
) -> Problem:
    return Problem(kind, name, line, 0, message, hint)


def _check(
    tree: nodes.Template, declared: Declared, environment: LetterSandbox, loops: frozenset[str]
) -> Iterator[Problem]:
    """What the sandbox does not have; and only where it has all, what the campaign has not."""
    found = False
    for node in tree.find_all(nodes.Node):
        for problem in _check_allowed(node, environment):
            found = True
            yield problem
    if found:
        return
    unknown = meta.find_undeclared_variables(tree) - {*_ROOTS, *environment.globals}
    for node in tree.find_all(nodes.Expr):
        if isinstance(node, nodes.Name):
            yield from _check_name(node, unknown, declared)
        elif (use := _use(node, loops)) is not None:
            scope = "local" if use.scope == "rows" else use.scope
            if declared.knows(scope, use.name):
                continue
            written = next(node.find_all(nodes.Name)).name
            yield _problem(
                f"“{written}.{use.name}” names a field that is not declared.",
                node.lineno,
                declared.remedy(scope, use.name),
                use.name,
                ProblemKind.UNKNOWN_NAME,
            )


def _check_allowed(node: nodes.Node, environment: LetterSandbox) -> Iterator[Problem]:
    if isinstance(node, (nodes.Filter, nodes.Test)):
        yield from _check_function(node, environment)
    elif tag := _NOT_HERE.get(type(node)):
        yield _problem(
            f"“{tag}” is not available in letters.", node.lineno, "Write it all in one template."
        )
    elif isinstance(node, nodes.For) and node.recursive:
        yield _problem("“recursive” is not available in letters.", node.lineno)


def _check_function(
    node: nodes.Filter | nodes.Test, environment: LetterSandbox
) -> Iterator[Problem]:
    kind = "filter" if isinstance(node, nodes.Filter) else "test"
    known = environment.filters if kind == "filter" else environment.tests
    if node.name not in known:
        near = nearest(node.name, known)
        hint = f"Did you mean “{near}”?" if near else ""
        yield _problem(f"There is no {kind} “{node.name}” for letters.", node.lineno, hint)


def _check_name(node: nodes.Name, unknown: set[str], declared: Declared) -> Iterator[Problem]:
    if node.ctx != "load" and node.name in _ROOTS:
        yield _problem(f"“{node.name}” cannot be given another meaning.", node.lineno)
    elif node.ctx == "load" and node.name in unknown:
        scope = "global" if not declared.knows("local", node.name) else "local"
        written = f"{scope}.{node.name}" if declared.knows(scope, node.name) else ""
        yield _problem(
            f"“{node.name}” is not a name that the template knows.",
            node.lineno,
            f"Write {written}." if written else "Write local.name or global.name.",
            node.name,
            ProblemKind.UNKNOWN_NAME,
        )


def _use(node: nodes.Node, loops: frozenset[str]) -> _Use | None:
    match node:
        case (
            nodes.Getattr(node=nodes.Name(name=root), attr=str(name))
            | nodes.Getitem(node=nodes.Name(name=root), arg=nodes.Const(value=str(name)))
        ):
            if root in ("local", "global"):
                return _Use(root, name)
            if root in loops:
                return _Use("rows", name)
    return None


def _uses_in(node: nodes.Node, loops: frozenset[str]) -> frozenset[_Use]:
    found = {use for inner in node.find_all(nodes.Expr) if (use := _use(inner, loops)) is not None}
    if (own := _use(node, loops)) is not None:
        found.add(own)
    return frozenset(found)


def _loops_over_rows(tree: nodes.Template) -> frozenset[str]:
    """What loops over `rows` call a row, unless the name means something else elsewhere."""
    rows: Counter[str] = Counter()
    for loop in tree.find_all(nodes.For):
        of = loop.iter
        while isinstance(of, nodes.Filter) and of.name in ("list", "reverse", "sort"):
            assert of.node is not None  # only `{% filter %}` has none
            of = of.node
        if isinstance(of, nodes.Name) and of.name == "rows" and isinstance(loop.target, nodes.Name):
            rows[loop.target.name] += 1
    set_ = Counter(name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
    return frozenset(name for name, count in rows.items() if count == set_[name])


def _names(tree: nodes.Template, declared: Declared) -> frozenset[str]:
    """The fields used through `local` and `global`; all, where one is named by an expression."""
    found = [use for node in tree.find_all(nodes.Expr) if (use := _use(node, frozenset()))]
    roots = [node for node in tree.find_all(nodes.Name) if node.name in ("local", "global")]
    if len(found) < len(roots):
        return declared.local | declared.global_
    return frozenset(use.name for use in found)


def _collect_shown(
    node: nodes.Node, loops: frozenset[str], guarded: frozenset[_Use], shown: dict[_Use, None]
) -> None:
    """Gather the fields that reach the text and that no condition provides for."""
    use = _use(node, loops)
    if use is not None:
        if use not in guarded:
            shown[use] = None
        return
    children = list(node.iter_child_nodes())
    match node:
        case nodes.If(test=test) | nodes.CondExpr(test=test):
            guarded |= _uses_in(test, loops)
            children.remove(test)
        case nodes.For(test=nodes.Expr() as test):
            guarded |= _uses_in(test, loops)
            children.remove(test)
        case nodes.Or(left=left, right=right):
            _collect_shown(left, loops, guarded | _uses_in(left, loops), shown)
            children = [right]
        case nodes.And(left=left):
            guarded |= _uses_in(left, loops)
        case nodes.Filter(name="default" | "d", node=nodes.Expr() as value):
            _collect_shown(value, loops, guarded | _uses_in(value, loops), shown)
            children.remove(value)
        case nodes.Test() | nodes.Compare() | nodes.Not():
            return
    for child in children:
        _collect_shown(child, loops, guarded, shown)


def _texts(use: _Use, values: Values, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The texts that a use shows: one in each row, or one in all."""
    if use.scope == "rows":
        return [row.get(use.name, "") for row in rows]
    return [(values.local if use.scope == "local" else values.global_).get(use.name, "")]


def _fields(
    names: frozenset[str], texts: Mapping[str, str], kinds: Mapping[str, str]
) -> FieldValues:
    found: dict[str, object] = {}
    for name in names:
        text = texts.get(name, "")
        try:
            found[name] = typed(kinds.get(name, "string"), text)
        except ValueError:  # a bad cell, reported elsewhere; the preview still shows it
            found[name] = text
    return FieldValues(found)


def _sentence(error: Exception) -> str:
    match error:
        case RecursionError():
            return "The template calls itself without end."
        case MemoryError():
            return "The template needs too much memory."
        case ZeroDivisionError():
            return "The template divides by zero."
        case jinja2.TemplateError():
            return error.message or "The template fails."
    text = str(error)
    return text if text.endswith(".") else f"The template fails: {text}."


def _line(template: jinja2.Template, error: Exception) -> int:
    line = 0
    for frame, number in walk_tb(error.__traceback__):
        if frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(number)
    return line


def _without_secrets(
    message: str, declared: Declared, values: Values, rows: Sequence[Mapping[str, str]]
) -> str:
    """Python's own messages may quote a value."""
    for name, kind in declared.kinds.items():
        if kind == "secret":
            for texts in (values.local, values.global_, *rows):
                if text := texts.get(name, ""):
                    message = message.replace(text, "•••")
    return message
