"""Makes a template pay for what Jinja2's sandbox does not see: loops, text, `~`, comparisons.

The syntax tree is rewritten to use private filters, whose names a template cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from jinja2 import nodes, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from app.mailer.domain.templates.budget import OUTPUT, STEP, TURN, budget_of, length, scalar


class Metered(NodeTransformer):
    """Rewrites a parsed template, in place, before it is compiled."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _private("<turns>", cast("nodes.Expr", node.iter))
        return node

    def visit_Output(self, node: nodes.Output) -> list[nodes.Node]:  # noqa: N802
        self.generic_visit(node)
        literal = sum(len(part.data) for part in node.nodes if isinstance(part, nodes.TemplateData))
        count = nodes.Const(literal, lineno=node.lineno)
        paid = nodes.ExprStmt(_private("<literal>", count), lineno=node.lineno)
        return [paid, node] if literal else [node]

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _private("<concat>", node.nodes[0], *node.nodes[1:])

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _private("<weighed>", node.expr)
        for operand in node.ops:
            operand.expr = _private("<weighed>", operand.expr)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _private("<weighed>", node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _private("<weighed>", node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node if node.ctx != "load" else _private("<weighed>", node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _private("<weighed>", node.node)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.node = _private("<weighed>", node.node)
        node.args = [_private("<weighed>", argument) for argument in node.args]
        return node


def _private(name: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


@pass_context
def written(context: Context, value: object) -> object:
    budget_of(context).spend(OUTPUT * (1 + length(scalar(value))))
    return value


@pass_context
def turns(context: Context, items: Iterable[object]) -> Iterator[object]:
    budget = budget_of(context)
    for item in items:
        budget.spend(TURN)
        yield item


@pass_context
def _literal(context: Context, size: int) -> None:
    budget_of(context).spend(OUTPUT * size)


@pass_context
def weighed(context: Context, value: object) -> object:
    budget_of(context).weigh(value)
    return value


@pass_context
def _concat(context: Context, *values: object) -> object:
    budget_of(context).spend(STEP + sum(length(scalar(value)) for value in values))
    return FILTERS["join"](context.eval_ctx, values)


PRIVATE_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "<turns>": turns,
    "<literal>": _literal,
    "<weighed>": weighed,
    "<concat>": _concat,
}
