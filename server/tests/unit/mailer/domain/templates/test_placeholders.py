from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.templates import placeholders
from app.mailer.domain.templates.placeholders import (
    MAX_PROBLEMS,
    MAX_SOURCE,
    Declared,
    ProblemKind,
    TemplateFailed,
    Values,
    compile_template,
    escape_glob,
    escape_html,
    has_line_break,
)

DECLARED = Declared(frozenset({"name", "number", "both"}), frozenset({"year", "both"}))
VALUES = Values({"name": "Ada", "number": "7", "both": "mine"}, {"year": "2026", "both": "ours"})


def render(source: str, values: Values = VALUES) -> str:
    template = compile_template(source, DECLARED)
    assert template.problems == ()
    return template.render(values)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("no placeholder, $5 and {x}", "no placeholder, $5 and {x}"),
        ("${local::name}", "Ada"),
        ("a${name}b${year}c", "aAdab2026c"),
        ("${ local :: name }", "Ada"),
        ("${global::both} ${local::both} ${both}", "ours mine mine"),
        ("$${name}", "${name}"),
        ("$${${name}}", "${Ada}"),
        ("$$${name}", "$${name}"),
        ("${name}${name}", "AdaAda"),
    ],
)
def test_renders(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize("own", ["", " ", "\n", None])
def test_bare_name_falls_back_to_the_global_value(own: str | None) -> None:
    values = Values({} if own is None else {"both": own}, {"both": "ours"})
    assert render("${both}", values) == "ours"
    assert render("${local::both}", values) == (own or "")


@pytest.mark.parametrize(
    ("source", "kind", "name", "line", "column", "hint"),
    [
        ("a\nb ${name", ProblemKind.UNCLOSED, "${", 2, 3, "$${"),
        ("${name\n}", ProblemKind.UNCLOSED, "${", 1, 1, "Close it"),
        ("${}", ProblemKind.BAD_SYNTAX, "", 1, 1, "${local::name}"),
        ("x ${local:name}", ProblemKind.BAD_SYNTAX, "local:name", 1, 3, "${local::name}"),
        ("${a b}", ProblemKind.BAD_SYNTAX, "a b", 1, 1, "${name}"),
        ("${nmae}", ProblemKind.UNKNOWN_NAME, "nmae", 1, 1, "“name”"),
        ("${NAME}", ProblemKind.UNKNOWN_NAME, "NAME", 1, 1, "“name”"),
        ("${global::name}", ProblemKind.UNKNOWN_NAME, "name", 1, 1, "is a local field"),
        ("${local::year}", ProblemKind.UNKNOWN_NAME, "year", 1, 1, "is a global field"),
        ("${qqqqqq}", ProblemKind.UNKNOWN_NAME, "qqqqqq", 1, 1, "Declare “qqqqqq”"),
    ],
)
def test_problems(
    source: str, kind: ProblemKind, name: str, line: int, column: int, hint: str
) -> None:
    template = compile_template(source, DECLARED)
    (problem,) = template.problems
    assert (problem.kind, problem.name, problem.line, problem.column) == (kind, name, line, column)
    assert hint in problem.hint
    assert template.render(VALUES) == source, "what is wrong stays visible in a preview"


def test_all_problems_at_once() -> None:
    template = compile_template("${x1} ${name} ${x2} ${", DECLARED)
    assert [problem.name for problem in template.problems] == ["x1", "x2", "${"]
    assert template.names == {"name"}


@pytest.mark.parametrize("piece", ["${", "${nmae}\n", "${name}", "${name}\n", "$${"])
def test_the_longest_source_takes_no_time(piece: str) -> None:
    source = piece * (MAX_SOURCE // len(piece))
    begin = time.process_time()
    template = compile_template(source, DECLARED)
    assert time.process_time() - begin < 2
    assert len(template.problems) == (0 if piece.startswith(("${name}", "$$")) else MAX_PROBLEMS)


def test_a_placeholder_behind_many_problems_still_counts() -> None:
    template = compile_template("${x}" * 2 * MAX_PROBLEMS + "${name}", DECLARED)
    assert template.names == {"name"}
    assert template.render(VALUES) == "${x}" * 2 * MAX_PROBLEMS + "Ada"


def test_missing_names_each_used_and_blank_field_once() -> None:
    template = compile_template("${name}${number}${both}${name}${year}", DECLARED)
    assert template.missing(VALUES) == ()
    empty = Values({"name": "", "number": " \t"}, {"both": "x"})
    assert template.missing(empty) == ("name", "number", "year")


def test_uses_local() -> None:
    def uses_local(source: str) -> bool:
        return compile_template(source, DECLARED).uses_local

    assert uses_local("${name}")
    assert uses_local("${both}")
    assert uses_local("${local::both}")
    assert not uses_local("${global::both} ${year} $${name}")


def test_a_huge_source_is_a_problem() -> None:
    (problem,) = compile_template("x" * (MAX_SOURCE + 1), DECLARED).problems
    assert problem.kind is ProblemKind.TOO_LARGE


def test_a_huge_result_fails_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placeholders, "MAX_OUTPUT", 1000)
    template = compile_template("${name}" * 1000, DECLARED)
    with pytest.raises(TemplateFailed, match="grows over"):
        template.render(Values({"name": "x" * 100}))


def test_rendering_is_fast() -> None:
    template = compile_template("Dear ${name}, ${number} ${year} ${both}" * 10, DECLARED)
    start = time.process_time()
    for _ in range(1000):
        template.render(VALUES)
    assert time.process_time() - start < 0.5


def test_line_breaks_and_control_characters() -> None:
    assert has_line_break("a\nb")
    assert has_line_break("a\rb")
    assert has_line_break("a\0b")
    assert not has_line_break("Grüße =?utf-8?q?x?= 李")


anything = st.text(max_size=40) | st.sampled_from(["${name}", "$${name}", "${", "$", "}", "$${"])


@given(st.lists(anything, max_size=4), anything, anything)
def test_literal_text_is_untouched_and_values_are_never_rendered(
    literals: list[str], name: str, year: str
) -> None:
    source = "${name}".join(text.replace("${", "$${") for text in literals) + "${global::year}"
    expected = name.join(literals) + year
    # A literal that ends in "$" joins the brace that follows it: the format's own ambiguity.
    if any(text.endswith("$") for text in literals) or "$${" in "".join(literals):
        return
    assert render(source, Values({"name": name}, {"year": year})) == expected


@given(st.text(max_size=60))
def test_any_source_compiles_and_without_placeholders_is_itself(source: str) -> None:
    template = compile_template(source, DECLARED)
    rendered = template.render(VALUES)
    if "${" not in source:
        assert template.problems == ()
        assert rendered == source


@given(st.text(max_size=40), st.text(max_size=40))
def test_escape_reaches_values_only(value: str, literal: str) -> None:
    literal = literal.replace("$", "")
    template = compile_template(f"<b>{literal}</b>${{name}}", DECLARED)
    rendered = template.render(Values({"name": value}), escape_html)
    assert rendered == f"<b>{literal}</b>" + escape_html(value)
    assert not re.search("[<>\"']", escape_html(value))


values_in_globs = st.text(st.characters(exclude_characters="\n/"), max_size=20) | st.text("*?[]!-a")


@given(values_in_globs, values_in_globs)
def test_an_escaped_value_in_a_glob_matches_itself_alone(value: str, other: str) -> None:
    pattern = compile_template("${name}_*.pdf", DECLARED).render(
        Values({"name": value}), escape_glob
    )
    matches = re.compile(fnmatch.translate(pattern)).match
    assert matches(f"{value}_x.pdf")
    if not other.startswith(f"{value}_"):
        assert bool(matches(f"{other}_x.pdf")) == f"{other}_x.pdf".startswith(f"{value}_")
