from __future__ import annotations

import resource
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.templates.jinja import JinjaTemplate, compile_jinja
from app.mailer.domain.templates.placeholders import (
    MAX_PROBLEMS,
    MAX_SOURCE,
    Declared,
    ProblemKind,
    TemplateFailed,
    Values,
)

DECLARED = Declared(
    frozenset({"name", "number", "count", "paid", "pin", "items", "both"}),
    frozenset({"year", "both"}),
    {"number": "decimal", "count": "integer", "paid": "boolean", "pin": "secret"},
)
VALUES = Values(
    {
        "name": "<Ada>",
        "number": "1.234,56",
        "count": "007",
        "paid": "ja",
        "pin": "hunter2",
        "items": "i",
    },
    {"year": "2026", "both": "ours"},
)
ROWS = ({"name": "a", "number": "1"}, {"name": "b", "number": "2,5"})


def compiled(source: str, *, html: bool = False) -> JinjaTemplate:
    template = compile_jinja(source, DECLARED, html=html)
    assert template.problems == ()
    return template


def render(source: str, *, html: bool = False) -> str:
    return compiled(source, html=html).render(VALUES, ROWS)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Dear {{ local.name }}, {{ global.year }}\n", "Dear <Ada>, 2026\n"),
        ("{{ local['name'] }} {{ local.items }}", "<Ada> i"),
        ("{{ local.number }} {{ local.count }} {{ local.paid }}", "1.234,56 007 ja"),
        ("{% if local.number > 1000 and local.count == 7 and local.paid %}big{% endif %}", "big"),
        ("{% for r in rows %}{{ loop.index }} {{ r.name|upper }},{% endfor %}", "1 A,2 B,"),
        ("{% for r in rows %}\n- {{ r.name }}\n{% endfor %}\nend", "- a\n- b\nend"),
        ("{{ rows|map(attribute='name')|join(', ') }}", "a, b"),
        ("{{ rows|join('-', attribute='name') }} {{ rows|sum(attribute='number') }}", "a-b 3.5"),
        ("{{ rows|selectattr('name', 'eq', 'b')|map(attribute='number')|first }}", "2,5"),
        (
            "{% for g in rows|groupby('name') %}{{ g.grouper }}{{ g.list|length }} {% endfor %}",
            "a1 b1 ",
        ),
        ("{{ 'a' ~ 1 ~ local.name }} {{ 'b' + 'c' }} {{ 2 * 3 }} {{ 2 ** 3 }}", "a1<Ada> bc 6 8"),
        ("{{ '%s-%05d'|format('a', 7) }} {{ '%.2f' % 3.14159 }}", "a-00007 3.14"),
        ("{{ local.name[1:3] }} {{ local.name.strip('<>').split('d')|last }}", "Ad a"),
        ("{{ 'aXa'|replace('X', 'y') }}{{ 'x'|center(5) }}", "aya  x  "),
        ("{{ 'a\\nb'|indent(2) }}", "a\n  b"),
        (
            "{% set n = namespace(x=0) %}{% for r in rows %}"
            "{% set n.x = n.x + r.number %}{% endfor %}{{ n.x }}",
            "3.5",
        ),
        (
            "{% macro m(x) %}[{{ x }}{{ caller() }}]{% endmacro %}{% call m(2) %}b{% endcall %}",
            "[2b]",
        ),
        ("{% filter upper %}abc{% endfilter %}{% set x %}q{% endset %}{{ x }}", "ABCq"),
        ("{{ {'a': 1}.a }} {{ [1, 2]|last }} {{ 'd' in local.name }}", "1 2 True"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{{ local.name|urlencode }} {% raw %}{{ x }}{% endraw %}", "%3CAda%3E {{ x }}"),
        ("", ""),
    ],
)
def test_renders(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ local.name }}",
        "{{ '' ~ local.name }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(local.name) }}",
        "{% set x %}{{ local.name }}{% endset %}{{ x }}",
        "{{ '%s'|format(local.name) }}",
        "{{ [local.name]|join }}",
        "{{ local.name|replace('x', 'y') }}",
        "{{ local.name|e }}",
    ],
)
def test_html_escapes_every_value_once(source: str) -> None:
    assert render(source, html=True) == "&lt;Ada&gt;"


@given(st.text(max_size=60))
def test_a_value_is_never_rendered_and_always_escaped(value: str) -> None:
    template = compiled("<b>{{ local.name }}</b>", html=True)
    rendered = template.render(Values({"name": value}))
    inner = rendered.removeprefix("<b>").removesuffix("</b>")
    assert not set(inner) & set("<>\"'")
    assert compiled("{{ local.name }}").render(Values({"name": value})) == value


@pytest.mark.parametrize(
    ("source", "kind", "line", "name", "hint"),
    [
        ("\n{{ local.nmae }}", ProblemKind.UNKNOWN_NAME, 2, "nmae", "“name”"),
        ("{{ local['nmae'] }}", ProblemKind.UNKNOWN_NAME, 1, "nmae", "“name”"),
        ("{{ global.name }}", ProblemKind.UNKNOWN_NAME, 1, "name", "is a local field"),
        ("{% if local.yeer %}{% endif %}", ProblemKind.UNKNOWN_NAME, 1, "yeer", "Declare"),
        ("{{ name }}", ProblemKind.UNKNOWN_NAME, 1, "name", "Write local.name."),
        (
            "{% for r in rows %}\n{{ r.nmae }}{% endfor %}",
            ProblemKind.UNKNOWN_NAME,
            2,
            "nmae",
            "“name”",
        ),
        ("{{ lipsum() }}", ProblemKind.UNKNOWN_NAME, 1, "lipsum", "Write local.name or"),
        ("a\n{% if %}", ProblemKind.BAD_SYNTAX, 2, "", ""),
        ("{% for r in rows %}", ProblemKind.BAD_SYNTAX, 1, "", ""),
        ("{{ local.name|uper }}", ProblemKind.BAD_SYNTAX, 1, "", "“upper”"),
        ("{{ local.name|safe }}", ProblemKind.BAD_SYNTAX, 1, "", ""),
        ("{{ local.name|attr('x') }}", ProblemKind.BAD_SYNTAX, 1, "", ""),
        ("{{ 1 is foo }}", ProblemKind.BAD_SYNTAX, 1, "", ""),
        ("{% include 'x' %}", ProblemKind.BAD_SYNTAX, 1, "", "one template"),
        ("{% import 'x' as x %}", ProblemKind.BAD_SYNTAX, 1, "", "one template"),
        ("{% from 'x' import y %}", ProblemKind.BAD_SYNTAX, 1, "", "one template"),
        ("{% extends 'x' %}", ProblemKind.BAD_SYNTAX, 1, "", "one template"),
        ("{% block x %}{% endblock %}", ProblemKind.BAD_SYNTAX, 1, "", "one template"),
        ("{% autoescape false %}{% endautoescape %}", ProblemKind.BAD_SYNTAX, 1, "", ""),
        ("{% for r in rows recursive %}{% endfor %}", ProblemKind.BAD_SYNTAX, 1, "", ""),
        ("{% set local = 1 %}", ProblemKind.BAD_SYNTAX, 1, "", ""),
    ],
)
def test_problems(source: str, kind: ProblemKind, line: int, name: str, hint: str) -> None:
    template = compile_jinja(source, DECLARED)
    (problem,) = template.problems
    assert (problem.kind, problem.line, problem.name) == (kind, line, name)
    assert hint in problem.hint
    with pytest.raises(TemplateFailed):
        template.render(VALUES)


@pytest.mark.parametrize(
    "source",
    [
        "x" * (MAX_SOURCE + 1),
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 3000 + "1 }}",
        "{{ " + "1+" * 50000 + "1 }}",
        "{% if 1 %}" * 300 + "{% endif %}" * 300,
        "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
        "{{ local.name }}" * 60000,
        "{{ 1" + "0" * 10000 + " }}",
    ],
    ids=["source", "brackets", "not", "plus", "if", "for", "parts", "digits"],
)
def test_huge_templates_are_problems(source: str) -> None:
    start = time.process_time()
    assert compile_jinja(source, DECLARED).problems
    assert time.process_time() - start < 4


def doubling(start: str, step: str) -> str:
    loop = "{% for i in range(99) %}{% set n.x = " + step + " %}{% endfor %}"
    return "{% set n = namespace(x=" + start + ") %}" + loop


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**10 }}",
        "{{ 10000000000 * 'a' }}",
        "{{ [1] * 10**10 }}",
        "{{ 2 ** 10000000 }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{{ 9 ** 1000 }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{{ 'a'|center(10**10) }}",
        "{{ 'a\nb'|indent(10000000000) }}",
        "{{ 'a'|map('center', 10000000000)|list }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%(a)1000000000d' % {'a': 1} }}",
        "{{ ('%(a)s' * 100000) % {'a': 'x' * 100000} }}",
        "{{ ('a' * 900000)|replace('a', 'b' * 900000) }}",
        "{{ (['a' * 90000] * 1000)|join('b' * 90000) }}",
        "{{ ([{'a': 'x' * 90000}] * 1000)|join('', attribute='a') }}",
        "{{ rows|batch(10000000000, 'x')|list }}",
        "{{ 1.5|round(1000000000, 'ceil') }}",
        "{{ [[1], [2]]|sum(start=[]) }}",
        "{{ (5).to_bytes(1000000000, 'big') }}",
        "{{ 'a'.ljust(10000000000) }}",
        "{{ '{:>10000000000}'.format(1) }}",
        doubling("'ab'", "n.x ~ n.x"),
        doubling("'ab'", "n.x + n.x"),
        doubling("[1]", "[n.x, n.x]"),
        doubling("(1,)", "(n.x, n.x)"),
        doubling("{}", "{1: n.x, 2: n.x}"),
        "{% set n = namespace(x='') %}{% for i in range(99999) %}"
        "{% set n.x %}{{ n.x }}{{ n.x }}abc{% endset %}{% endfor %}",
        "{% set n = namespace(l=[], x='a' * 900000) %}"
        "{% for i in range(99999) %}{% set n.l = n.l + [n.x[1:]] %}{% endfor %}",
        "{% set x = 'a' * 900000 %}{% set y = 'a' * 900000 %}"
        "{% for i in range(99999) %}{% if x == y %}{% endif %}{% endfor %}",
        "{% set x = 'a' * 900000 %}{% set y = 'a' * 900000 %}"
        "{% for i in range(99999) %}{% if x is eq y %}{% endif %}{% endfor %}",
        "{% set x %}" + "y" * 900000 + "{% endset %}{% for i in range(99999) %}{{ x }}{% endfor %}",
        "{% set x = 'a' * 900000 %}{% for i in range(99999) %}{% set y = x.upper() %}{% endfor %}",
    ],
)
def test_greedy_templates_fail_soon_and_without_eating_memory(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with pytest.raises(TemplateFailed):
        compiled(source).render(VALUES, ROWS)
    assert time.process_time() - start < 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ local._values }}",
        "{{ rows[0]._values }}",
        "{{ rows|map(attribute='__class__')|list }}",
        "{{ rows.append(1) }}",
        "{{ [].append(1) }}",
        "{{ {}.update({}) }}",
        "{{ ''.join(['a']) }}",
        "{{ 'a'.upper.__self__ }}",
        "{{ range.__call__ }}",
        "{{ namespace.__init__ }}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    template = compile_jinja(source, DECLARED)
    if not template.problems:
        with pytest.raises(TemplateFailed):
            template.render(VALUES, ROWS)


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("a\nb\n{{ 1 / 0 }}", 3, "divides by zero"),
        ("a\n{{ 'x' + 1 }}", 2, "concatenate"),
        ("{% for r in rows[:] %}\n{{ r.nope }}\n{% endfor %}", 2, "There is no field “nope”"),
        ("{{ rows }}", 1, "A list (use a loop"),
        ("{{ none }}", 1, "“none” is not text"),
        ("{{ local }}", 1, "not text"),
        ("{{ rows|string }}", 1, "not text"),
        ("{{ rows|join }}", 1, "not text"),
        ("{{ 'a' ~ rows }}", 1, "not text"),
        ("{{ '%s' % (rows,) }}", 1, "not text"),
    ],
)
def test_failures_name_line_and_reason(source: str, line: int, says: str) -> None:
    with pytest.raises(TemplateFailed) as caught:
        render(source)
    assert caught.value.line == line
    assert says in caught.value.message
    assert str(caught.value) == f"Line {line}: {caught.value.message}"


def test_a_secret_never_shows_in_a_failure() -> None:
    for source in ("{{ {}[local.pin] }}", "{{ [][local.pin] }}", "{{ '%d' % local.pin }}"):
        with pytest.raises(TemplateFailed) as caught:
            render(source)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("{{ local.both }}", ("both",)),
        ("{{ local['both'] }}{{ local.both }}", ("both",)),
        ("{{ local.both|upper }}", ("both",)),
        ("{% set x = local.both %}{{ x }}", ("both",)),
        ("{% for r in rows %}{{ local.both }}{% endfor %}", ("both",)),
        ("{{ global.both }}", ()),
        ("{{ local.name }}", ()),
        ("{% if local.both %}{{ local.both }}{% endif %}", ()),
        ("{% if local.name %}{{ local.both }}{% endif %}", ("both",)),
        ("{% if local.both %}x{% else %}y{% endif %}", ()),
        ("{{ local.both or 'friend' }}", ()),
        ("{{ 'friend' or local.both }}", ("both",)),
        ("{{ local.name or local.both }}", ("both",)),
        ("{{ local.both and local.both|upper }}", ()),
        ("{{ local.both|default('friend', true) }}", ()),
        ("{{ local.both if local.both else 'x' }}", ()),
        ("{{ 'x' if local.name else local.both }}", ("both",)),
        ("{{ local.both == 'x' }}", ()),
        ("{% for row in rows %}{{ row.name }}{% endfor %}", ()),
        ("{% for row in rows %}{{ row['both'] }}{% endfor %}", ("both",)),
        ("{% for r in rows|sort(attribute='name')|list %}{{ r.count }}{% endfor %}", ("count",)),
        ("{% for r in rows %}{% if r.count %}{{ r.count }}{% endif %}{% endfor %}", ()),
        ("{% for r in rows if r.count %}{{ r.count }}{% endfor %}", ()),
        ("{% for r in rows %}{{ r.count or '-' }}{% endfor %}", ()),
        ("{% for r in rows %}{% endfor %}{% for r in [global] %}{{ r.both }}{% endfor %}", ()),
    ],
)
def test_missing_is_what_the_text_shows_and_no_condition_provides_for(
    source: str, missing: tuple[str, ...]
) -> None:
    rows = ({"name": "a", "count": "1"}, {"name": "b"})
    assert compiled(source).missing(VALUES, rows) == missing


def test_names_and_uses_local() -> None:
    template = compiled("{{ local.name }}{% if global.year %}{% endif %}{{ global['both'] }}")
    assert template.names == {"name", "year", "both"}
    assert template.uses_local
    assert not compiled("{{ global.year }}").uses_local
    looped = compiled("{% for r in rows %}{{ r.name }}{% endfor %}")
    assert looped.uses_local
    assert looped.uses_rows
    assert not looped.names
    assert not template.uses_rows


@pytest.mark.parametrize("source", ["{{ local[global.year] }}", "{% set l = local %}{{ l.name }}"])
def test_a_name_that_is_worked_out_may_be_any(source: str) -> None:
    assert compiled(source).names == DECLARED.local | DECLARED.global_


def test_a_value_that_is_no_number_stays_text() -> None:
    assert compiled("{{ local.count }}").render(Values({"count": "seven"})) == "seven"
    assert compiled("[{{ local.count }}]").render(Values({})) == "[]"


def test_renderings_do_not_share_their_budget() -> None:
    template = compiled(
        "{% for i in range(6) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"
    )
    for _ in range(2):
        assert template.render(VALUES) == ""


def test_of_many_problems_the_first_are_named() -> None:
    assert len(compile_jinja("{{ local.nmae }}" * 5000, DECLARED).problems) == MAX_PROBLEMS
