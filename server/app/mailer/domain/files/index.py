"""One scan of a folder, asked by very many patterns.

Asking the disk once for each recipient is quadratic. Here each folder gets, when it is first asked,
a dictionary and sorted lists of its names, so that a pattern looks only at the few names that share
its beginning, its end or a piece of its middle. 100,000 patterns such as `Bill_4711_*.pdf`,
`*_4711.pdf` or `*_4711_*.pdf` over 100,000 files take a few seconds at most.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from typing import Generic, TypeVar

from app.mailer.domain.collector import collector_paused
from app.mailer.domain.files.name_pattern import (
    NamePattern,
    enclosed_tokens,
    is_hidden,
    nfc,
    tokens,
)
from app.mailer.domain.files.stat import FileStat

T = TypeVar("T")

#: So few names are looked at one by one rather than narrowed down further.
_FEW = 32
#: How long the pieces are by which a text in the middle of a name is found. Many names share a
#: short piece of a number, ever more of them as the folder grows; few share a long one.
_LONG, _SHORT = 5, 3


class NameIndex(Generic[T]):
    """Things by name, found by pattern. Names are in normal form C; one may stand for several."""

    def __init__(self, items: Iterable[tuple[str, T]]) -> None:
        self._items: dict[str, list[T]] = {}
        for name, item in items:
            self._items.setdefault(name, []).append(item)

    def match(self, pattern: NamePattern) -> list[T]:
        """The things whose name fits, by name. Hidden names fit only where spelled out."""
        literal = pattern.literal
        if literal is not None:
            return self._items.get(literal, [])
        hidden = self._hidden
        return [
            item
            for name in self._candidates(pattern)
            if pattern.matches(name) and (name not in hidden or pattern.spells(name))
            for item in self._items[name]
        ]

    def _candidates(self, pattern: NamePattern) -> Sequence[str]:
        """Names that include every match, as few as the pattern's plain texts allow."""
        low, high = _span(self._names, pattern.prefix)
        if high - low <= _FEW:
            return self._names[low:high]
        back_low, back_high = _span(self._backwards, pattern.suffix[::-1])
        fewest = min(high - low, back_high - back_low)
        if fewest > _FEW and (runs := pattern.inner_runs()):
            positions = self._holding(runs)
            if positions is not None and len(positions) < fewest:
                return [self._names[position] for position in positions]
        if back_high - back_low < high - low:
            return [name[::-1] for name in self._backwards[back_low:back_high]]
        return self._names[low:high]

    def _holding(self, runs: Sequence[str]) -> Sequence[int] | None:
        """Positions of names that hold these texts; None where the texts are too short to tell."""
        whole = [token for run in runs for token in enclosed_tokens(run)]
        lists = [self._by_token.get(token, []) for token in whole]
        if lists and len(rarest := min(lists, key=len)) <= _FEW:
            return rarest
        for run in runs:
            long = len(run) >= _LONG
            by_piece = self._by_long_piece if long else self._by_short_piece
            lists += [by_piece.get(piece, []) for piece in _pieces(run, _LONG if long else _SHORT)]
        if not lists:
            return None
        rarest, *others = sorted(lists, key=len)
        # Three rare pieces together leave few names; common pieces would cost more than they cut.
        near = [other for other in others[:2] if len(other) <= 8 * len(rarest)]
        return list(set(rarest).intersection(*near)) if near else rarest

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._items)

    @cached_property
    def _backwards(self) -> list[str]:
        return sorted(name[::-1] for name in self._items)

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return frozenset(name for name in self._items if is_hidden(name))

    @cached_property
    def _by_token(self) -> dict[str, list[int]]:
        return _postings(self._names, tokens)

    @cached_property
    def _by_long_piece(self) -> dict[str, list[int]]:
        return _postings(self._names, partial(_pieces, length=_LONG))

    @cached_property
    def _by_short_piece(self) -> dict[str, list[int]]:
        return _postings(self._names, partial(_pieces, length=_SHORT))


class _Folder:
    """A folder of the scan, with the indexes that somebody has asked for."""

    __slots__ = ("files", "folders", "indexes", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: list[tuple[str, FileStat]] = []
        self.folders: list[_Folder] = []
        self.indexes: dict[tuple[str, bool, bool], object] = {}

    def below(self, deep: bool) -> Iterator[_Folder]:
        """This folder and, where `deep`, all below it but hidden ones."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            if deep:
                waiting += [inner for inner in folder.folders if not is_hidden(inner.name)]

    def match_files(self, pattern: NamePattern, deep: bool, fold: bool) -> list[FileStat]:
        index = self.indexes.get(("files", deep, fold))
        if not isinstance(index, NameIndex):
            index = self.indexes["files", deep, fold] = NameIndex(
                (_spelling(name, fold), stat)
                for folder in self.below(deep)
                for name, stat in folder.files
            )
        return index.match(pattern)

    def match_folders(self, pattern: NamePattern, deep: bool, fold: bool) -> list[_Folder]:
        index = self.indexes.get(("folders", deep, fold))
        if not isinstance(index, NameIndex):
            index = self.indexes["folders", deep, fold] = NameIndex(
                (_spelling(inner.name, fold), inner)
                for folder in self.below(deep)
                for inner in folder.folders
            )
        return index.match(pattern)


class FileIndex:
    """The files of one scan, by folder and pattern.

    Folders and patterns use `/` and are relative to the base; both must have passed
    `attachments.safe_base_dir` and `safe_pattern`. Matching is case-sensitive, on names in normal
    form C. Hidden files (`name_pattern.is_hidden`) need their beginning spelled out.
    """

    def __init__(self, files: Sequence[FileStat], folders: Iterable[str] = ()) -> None:
        """`folders`: paths of folders that may hold no file, so that they count as being there."""
        self.files = files
        self._folders: dict[str, _Folder] = {"": _Folder("")}
        for path in folders:
            self._make_folder(nfc(path))
        for stat in files:
            head, _, name = stat.path.rpartition("/")
            self._make_folder(nfc(head)).files.append((nfc(name), stat))
        # The same global rule is asked again for every entry; a personal one only once.
        self._search = lru_cache(maxsize=256)(self._search_once)

    def match(self, base_dir: str, pattern: str, include_subdirs: bool) -> Sequence[FileStat]:
        """The files in `base_dir` (`""` is the base) whose name fits, sorted by path.

        With `include_subdirs` also those in folders below, hidden ones left out. A pattern with
        `/` is matched part by part against the path below `base_dir`, or below any folder in it.
        """
        return self._search(base_dir, pattern, include_subdirs, False)

    def near_misses(self, base_dir: str, pattern: str, limit: int = 5) -> Sequence[FileStat]:
        """Where nothing matches: files that fit but for upper and lower case, or lie deeper."""
        for deep, fold in ((False, True), (True, False), (True, True)):
            found = self._search(base_dir, pattern, deep, fold)
            if found:
                return found[:limit]
        return ()

    def has_folder(self, base_dir: str) -> bool:
        return nfc(base_dir) in self._folders

    def visible_files(self) -> list[FileStat]:
        """The regular files that somebody put there on purpose, sorted by path."""
        found = [
            stat
            for folder in self._folders[""].below(deep=True)
            for name, stat in folder.files
            if stat.regular and not is_hidden(name)
        ]
        return sorted(found, key=_path_of)

    def _search_once(
        self, base_dir: str, pattern: str, deep: bool, fold: bool
    ) -> tuple[FileStat, ...]:
        base = self._folders.get(nfc(base_dir))
        if base is None:
            return ()
        parts = [NamePattern.parse(part) for part in _spelling(pattern, fold).split("/")]
        folders = [base]
        for part in parts[:-1]:
            folders = [
                inner for folder in folders for inner in folder.match_folders(part, deep, fold)
            ]
            deep = False
        found = [stat for folder in folders for stat in folder.match_files(parts[-1], deep, fold)]
        return tuple(sorted(found, key=_path_of) if len(found) > 1 else found)

    def _make_folder(self, path: str) -> _Folder:
        folder = self._folders.get(path)
        if folder is None:
            head, _, name = path.rpartition("/")
            folder = self._folders[path] = _Folder(name)
            self._make_folder(head).folders.append(folder)
        return folder


def _spelling(name: str, fold: bool) -> str:
    """The name as it is compared; where `fold`, without regard to case."""
    return nfc(name.casefold()) if fold else name


def _path_of(stat: FileStat) -> str:
    return stat.path


def _span(ordered: list[str], beginning: str) -> tuple[int, int]:
    """Where the texts that begin so lie in a sorted list."""
    if not beginning:
        return 0, len(ordered)
    length = len(beginning)
    low = bisect_left(ordered, beginning)
    return low, bisect_right(ordered, beginning, lo=low, key=lambda text: text[:length])


def _pieces(text: str, length: int) -> set[str]:
    return {text[at : at + length] for at in range(len(text) - length + 1)}


def _postings(names: Sequence[str], split: Callable[[str], Iterable[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    with collector_paused():
        for position, name in enumerate(names):
            for part in set(split(name)):
                found.setdefault(part, []).append(position)
    return found
