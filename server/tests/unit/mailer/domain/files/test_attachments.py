from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.codes import CODES
from app.mailer.domain.errors import UnsafePath
from app.mailer.domain.files.attachments import (
    MAX_CANDIDATES,
    Decision,
    RenderedRule,
    Resolver,
    chosen_files,
    decide,
    safe_base_dir,
    safe_pattern,
)
from app.mailer.domain.files.index import FileIndex
from app.mailer.domain.files.stat import FileStat
from app.mailer.domain.issues import Severity

RULE = RenderedRule("Bill", "/attachments/global/0", "bills", "4711_*.pdf")


def policy(code: str) -> Severity:
    return CODES[code].severity


def stat(path: str, size: int = 10, mtime_ns: int = 1, regular: bool = True) -> FileStat:
    return FileStat(path, size, mtime_ns, regular, (1, 2, size, mtime_ns))


A = stat("bills/4711_a.pdf", mtime_ns=1)
B = stat("bills/4711_b.pdf", mtime_ns=2)
C = stat("bills/4711_c.pdf", mtime_ns=2)


def said(decision: Decision) -> list[tuple[str, Severity]]:
    return [(issue.code, issue.severity) for issue in decision.issues]


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (".", ""),
        ("./", ""),
        ("a", "a"),
        ("./a//b/", "a/b"),
        ("a/./b", "a/b"),
        ("..a", "..a"),
    ],
)
def test_a_folder_is_made_relative_to_the_base(text: str, expected: str) -> None:
    assert safe_base_dir(text) == expected


UNSAFE = ["/etc", "..", "a/../b", "a/..", "C:/x", "c:x", "\\\\host\\x", "a\\..\\b", "a\0b", "a\nb"]


@pytest.mark.parametrize("text", [*UNSAFE, "a\x85b", "a\u2028b"])
def test_a_folder_outside_of_the_base_is_refused(text: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        safe_base_dir(text)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert "\0" not in caught.value.message


@pytest.mark.parametrize("text", [*UNSAFE, "../*.pdf", "", ".", "a/"])
def test_a_pattern_outside_of_the_base_or_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(UnsafePath):
        safe_pattern(text)


def test_a_pattern_may_name_folders() -> None:
    assert safe_pattern("./2026//*.pdf") == "2026/*.pdf"


@given(st.text(alphabet="ab./\\:~\0\n ", max_size=12))
def test_no_safe_folder_leaves_the_base(text: str) -> None:
    try:
        parts = safe_base_dir(text).split("/")
    except UnsafePath:
        return
    assert ".." not in parts
    assert parts == [""] or "" not in parts


# ---------------------------------------------------------------- decisions


def test_one_match_is_attached() -> None:
    assert decide(RULE, [A], policy) == Decision(RULE, (A,), ())


@pytest.mark.parametrize(
    ("required", "on_missing", "code", "severity"),
    [
        (True, None, "missing-attachment", Severity.BLOCK),
        (False, None, "missing-optional-attachment", Severity.WARN),
        *((True, severity, "missing-attachment", severity) for severity in Severity),
        (False, Severity.EXCLUDE, "missing-optional-attachment", Severity.EXCLUDE),
    ],
)
def test_no_match(
    required: bool, on_missing: Severity | None, code: str, severity: Severity
) -> None:
    decision = decide(replace(RULE, required=required, on_missing=on_missing), [], policy)
    assert decision.files == ()
    assert said(decision) == [(code, severity)]
    message = decision.issues[0].message
    assert "Bill" in message
    assert '"4711_*.pdf"' in message
    assert '"bills"' in message


@pytest.mark.parametrize(
    ("on_ambiguous", "files", "issues"),
    [
        (None, (A, B), [("ambiguous-attachment", Severity.REVIEW)]),
        ("review", (A, B), [("ambiguous-attachment", Severity.REVIEW)]),
        ("block", (), [("ambiguous-attachment", Severity.BLOCK)]),
        ("warn", (), [("ambiguous-attachment", Severity.WARN)]),
        ("all", (A, B), []),
        ("newest", (B,), []),
    ],
)
def test_several_matches_for_one_file(
    on_ambiguous: str | None, files: tuple[FileStat, ...], issues: list[tuple[str, Severity]]
) -> None:
    decision = decide(replace(RULE, on_ambiguous=on_ambiguous), [A, B], policy)
    assert decision.files == files
    assert said(decision) == issues
    for issue in decision.issues:
        assert A.path in issue.message
        assert B.path in issue.message


@pytest.mark.parametrize("severity", [Severity.EXCLUDE, Severity.IGNORE])
def test_a_policy_that_does_not_ask_attaches_none_of_several(severity: Severity) -> None:
    decision = decide(RULE, [A, B], lambda _code: severity)
    assert decision.files == ()
    assert said(decision) == [("ambiguous-attachment", severity)]


def test_two_equally_new_files_are_a_question() -> None:
    decision = decide(replace(RULE, on_ambiguous="newest"), [A, B, C], policy)
    assert decision.files == (B, C)
    assert said(decision) == [("ambiguous-attachment", Severity.REVIEW)]


def test_several_are_attached_where_allowed() -> None:
    assert decide(replace(RULE, allow_multiple=True), [A, B], policy).files == (A, B)


def test_a_reviewer_is_not_asked_to_choose_among_too_many() -> None:
    many = [stat(f"bills/4711_{number:03d}.pdf") for number in range(MAX_CANDIDATES + 1)]
    assert len(decide(RULE, many[:-1], policy).files) == MAX_CANDIDATES
    decision = decide(RULE, many, policy)
    assert decision.files == ()
    assert said(decision) == [("ambiguous-attachment", Severity.BLOCK)]
    assert "and 16 more" in decision.issues[0].message


@pytest.mark.parametrize("on_ambiguous", ["all", "newest", None])
def test_a_special_file_blocks_even_beside_a_good_one(on_ambiguous: str | None) -> None:
    link = stat("bills/4711_link.pdf", mtime_ns=9, regular=False)
    decision = decide(replace(RULE, on_ambiguous=on_ambiguous), [A, link], policy)
    assert decision.files == ()
    assert said(decision) == [("unsafe-file", Severity.BLOCK)]
    assert link.path in decision.issues[0].message


STATS = st.builds(
    stat,
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
)


@given(
    matches=st.lists(STATS, max_size=4),
    required=st.booleans(),
    multiple=st.booleans(),
    on_missing=st.sampled_from([None, *Severity]),
    on_ambiguous=st.sampled_from([None, "block", "review", "warn", "all", "newest"]),
    severity=st.sampled_from(list(Severity)),
)
def test_never_a_special_file_and_never_nothing_unsaid(
    matches, required, multiple, on_missing, on_ambiguous, severity
) -> None:
    rule = replace(
        RULE,
        required=required,
        allow_multiple=multiple,
        on_missing=on_missing,
        on_ambiguous=on_ambiguous,
    )
    decision = decide(rule, matches, lambda _code: severity)
    assert all(file.regular and file in matches for file in decision.files)
    assert decision.files or decision.issues
    if len(decision.files) > 1 and not multiple and on_ambiguous != "all":
        assert Severity.REVIEW in {issue.severity for issue in decision.issues}


def test_an_empty_file_is_told() -> None:
    empty = stat("bills/4711_a.pdf", size=0)
    decision = decide(RULE, [empty], policy)
    assert decision.files == (empty,)
    assert said(decision) == [("empty-file", Severity.REVIEW)]
    assert empty.path in decision.issues[0].message


def test_a_confidential_rule_names_no_pattern_and_no_file() -> None:
    rule = replace(RULE, base_dir="s3cret", pattern="s3cret_*.pdf", confidential=True)
    file, link = stat("s3cret/s3cret_1.pdf", size=0), stat("s3cret/s3cret_2.pdf", regular=False)
    resolver = Resolver(FileIndex([]), policy)
    for decision in (
        decide(rule, [file, file], policy),
        decide(rule, [file, link], policy),
        decide(rule, [], policy),
        resolver.resolve(rule),
    ):
        assert decision.issues
        for issue in decision.issues:
            assert "s3cret" not in issue.message + issue.hint


# ---------------------------------------------------------------- resolver


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (replace(RULE, pattern="4711_A.pdf"), ["upper and lower case", "bills/4711_a.pdf"]),
        (replace(RULE, base_dir=""), ["include_subdirs", "bills/4711_a.pdf"]),
        (replace(RULE, base_dir="Bills"), ['no folder "Bills"']),
        (replace(RULE, pattern="x*"), ["Put the file there"]),
    ],
)
def test_the_hint_of_a_missing_file_says_what_is_near(rule: RenderedRule, words: list[str]) -> None:
    decision = Resolver(FileIndex([A]), policy).resolve(rule)
    assert said(decision) == [("missing-attachment", Severity.BLOCK)]
    for word in words:
        assert word in decision.issues[0].hint


def test_resolving_matches_and_decides() -> None:
    resolver = Resolver(FileIndex([A, stat("bills/4712_a.pdf")]), policy)
    decision = resolver.resolve(RULE)
    assert decision.files == (A,)
    assert resolver.resolve(replace(RULE)) is decision


def test_a_file_that_two_rules_take_is_attached_once_under_distinct_names() -> None:
    named = replace(RULE, filename="Bill")
    chosen = chosen_files([decide(named, [A], policy), decide(RULE, [A], policy)])
    assert [(choice.file, choice.filename) for choice in chosen] == [(A, "Bill.pdf")]
    both = chosen_files([decide(replace(named, allow_multiple=True), [A, B], policy)])
    assert [choice.filename for choice in both] == ["Bill.pdf", "Bill (2).pdf"]


def test_the_base_folder_is_called_by_its_name() -> None:
    rule = replace(RULE, base_dir="", base_path="cards")
    (issue,) = decide(rule, [], policy).issues
    assert 'in the base folder "cards".' in issue.message
    (issue,) = decide(replace(rule, confidential=True), [], policy).issues
    assert "cards" not in issue.message
