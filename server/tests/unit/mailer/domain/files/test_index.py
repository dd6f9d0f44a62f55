from __future__ import annotations

import fnmatch
import time
import unicodedata
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.files.index import FileIndex
from app.mailer.domain.files.name_pattern import is_hidden
from app.mailer.domain.files.stat import FileStat


def stat(path: str, size: int = 1, mtime_ns: int = 1, regular: bool = True) -> FileStat:
    return FileStat(path, size, mtime_ns, regular, (1, hash(path) & 0xFFFF, size, mtime_ns))


def index_of(*paths: str) -> FileIndex:
    return FileIndex([stat(path) for path in paths])


def found(index: FileIndex, base_dir: str, pattern: str, deep: bool = False) -> list[str]:
    return [file.path for file in index.match(base_dir, pattern, deep)]


def test_only_the_folder_itself_unless_subfolders_are_wanted() -> None:
    index = index_of("b/2.pdf", "1.pdf", "b/c/3.pdf", "4.txt")
    assert found(index, "", "*.pdf") == ["1.pdf"]
    assert found(index, "", "*.pdf", deep=True) == ["1.pdf", "b/2.pdf", "b/c/3.pdf"]
    assert found(index, "b", "*.pdf") == ["b/2.pdf"]
    assert found(index, "b", "*.pdf", deep=True) == ["b/2.pdf", "b/c/3.pdf"]
    assert found(index, "nowhere", "*.pdf") == []


def test_a_pattern_with_folders_follows_the_path() -> None:
    index = index_of("2026/4711/a.pdf", "2026/4712/a.pdf", "2025/4711/a.pdf", "4711/a.pdf")
    assert found(index, "2026", "4711/*.pdf") == ["2026/4711/a.pdf"]
    assert found(index, "", "*/4711/*.pdf") == ["2025/4711/a.pdf", "2026/4711/a.pdf"]
    assert found(index, "", "4711/a.pdf", deep=True) == [
        "2025/4711/a.pdf",
        "2026/4711/a.pdf",
        "4711/a.pdf",
    ]


def test_both_unicode_spellings_are_one_name_and_one_folder() -> None:
    index = index_of("Bu\u0308ro/Mu\u0308ller.pdf", "Büro/Groß.pdf")
    assert found(index, "Büro", "Müller.pdf") == ["Bu\u0308ro/Mu\u0308ller.pdf"]
    assert found(index, "Bu\u0308ro", "*.pdf") == ["Bu\u0308ro/Mu\u0308ller.pdf", "Büro/Groß.pdf"]


def test_case_counts() -> None:
    assert found(index_of("bill.pdf"), "", "Bill.pdf") == []


def test_litter_is_not_matched_by_a_wildcard_and_never_unclaimed() -> None:
    litter = (".DS_Store", "~$a.pdf", "Thumbs.db", ".git/x.pdf", "sub/desktop.ini")
    index = index_of("a.pdf", *litter)
    assert found(index, "", "*", deep=True) == ["a.pdf"]
    assert found(index, "", "?DS*") == []
    assert found(index, "", ".DS*") == [".DS_Store"]
    assert found(index, "", "~$*") == ["~$a.pdf"]
    assert found(index, "", "Thumbs.db") == ["Thumbs.db"]
    assert found(index, ".git", "*.pdf") == [".git/x.pdf"]
    assert [file.path for file in index.visible_files()] == ["a.pdf"]


def test_special_files_are_matched_but_are_not_unclaimed() -> None:
    index = FileIndex([stat("link.pdf", regular=False)])
    assert found(index, "", "*.pdf") == ["link.pdf"]
    assert index.visible_files() == []


@pytest.mark.parametrize(
    ("base_dir", "pattern", "near"),
    [
        ("", "BILL_*.pdf", ["Bill_1.PDF"]),
        ("", "deep_*.pdf", ["sub/deep_1.pdf"]),
        ("", "DEEP_*.pdf", ["sub/deep_1.pdf"]),
        ("", "nothing*", []),
    ],
)
def test_near_misses(base_dir: str, pattern: str, near: list[str]) -> None:
    index = index_of("Bill_1.PDF", "sub/deep_1.pdf")
    assert found(index, base_dir, pattern) == []
    assert [file.path for file in index.near_misses(base_dir, pattern)] == near


def test_near_misses_are_few() -> None:
    index = index_of(*(f"BILL_{number}.pdf" for number in range(50)))
    assert len(index.near_misses("", "bill_*")) == 5


def test_folders_without_files_are_known() -> None:
    index = FileIndex([stat("a/b/c.pdf")], folders=["empty/one"])
    assert index.has_folder("")
    assert index.has_folder("a/b")
    assert index.has_folder("empty")
    assert index.has_folder("empty/one")
    assert not index.has_folder("c")


NAME = st.text(alphabet="ab_1.é\u0301e", min_size=1, max_size=10)
PATTERN = st.text(alphabet="ab_1.é\u0301e*?[]!-", max_size=10)


@given(names=st.sets(NAME, max_size=30), padding=st.sampled_from([0, 200]), pattern=PATTERN)
def test_equals_asking_every_name(names: Iterable[str], padding: int, pattern: str) -> None:
    # With padding the folder is large enough for the sorted and inverted lists to be used.
    names = {*names, *(f"ab_{number}_1.b" for number in range(padding))}
    wanted = unicodedata.normalize("NFC", pattern)
    expected = []
    for name in names:
        composed = unicodedata.normalize("NFC", name)
        fits = fnmatch.fnmatchcase(composed, wanted)
        if fits and (not is_hidden(composed) or wanted.startswith((".", "[.]"))):
            expected.append(name)
    assert found(index_of(*names), "", pattern) == sorted(expected)


@given(
    number=st.integers(0, 999),
    template=st.sampled_from(
        [
            *("Bill_{}_*", "*_{}_x.pdf", "*_{}_*.pdf", "*{}*.pdf", "[B]*{}?x*", "*l_{}_x*"),
            *("*{}*_*x*", "*ill_{}*", "*ill_{}*{}_x*", "*ll_{}*_x.p*"),
        ]
    ),
)
def test_every_way_of_narrowing_finds_what_asking_every_name_finds(
    number: int, template: str
) -> None:
    pattern = template.format(number, number)
    expected = [name for name in _MANY if fnmatch.fnmatchcase(name, pattern)]
    assert found(_MANY_INDEX, "", pattern) == sorted(expected)


_MANY = [f"Bill_{number}_x.pdf" for number in range(1000)]
_MANY_INDEX = index_of(*_MANY)


@pytest.mark.parametrize("template", ["B_{}_*", "*_{}_x.pdf", "*_{}_*.pdf", "*{}*.pdf", "b_{}_*"])
def test_many_rules_over_many_files_do_not_look_at_every_name(template: str) -> None:
    # 4,000 rules times 4,000 names one by one would take 4 s and more; this takes about 0.1 s.
    index = index_of(*(f"B_{number:05d}_x.pdf" for number in range(4000)))
    begun = time.process_time()
    for number in range(4000):
        pattern = template.format(f"{number:05d}")
        if not index.match("", pattern, False):
            assert len(index.near_misses("", pattern)) == 1
    assert time.process_time() - begun < 2


def test_one_vague_rule_for_everybody_is_answered_once() -> None:
    index = index_of(*(f"B_{number:05d}_x.pdf" for number in range(4000)))
    first = index.match("", "*.pdf", False)
    assert len(first) == 4000
    assert index.match("", "*.pdf", False) is first
