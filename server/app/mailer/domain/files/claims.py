"""Who takes which file, over a whole campaign: the check for the wrong letter in the envelope."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from app.mailer.domain.files.attachments import MASK, PolicyFor
from app.mailer.domain.files.stat import FileStat
from app.mailer.domain.issues import Issue

_OTHERS_NAMED = 3
_FIRST_TAKERS = 10


@dataclass(frozen=True, slots=True)
class FileUse:
    """A file and how many entries take it, the first few by their ids, in source order.

    `path` is masked where a secret value chose the file. `personal`: meant for one entry alone.
    """

    path: str
    size: int
    takers: int
    first_takers: tuple[str, ...]
    personal: bool


class Claims:
    """Collects which entry takes which file; a few bytes for each taking."""

    def __init__(self) -> None:
        self._entries: list[str] = []
        # A lone taker as a number, several as an array: personal files have one, shared ones many.
        self._takers: dict[str, int | array[int]] = {}
        self._personal: set[str] = set()
        self._confidential: set[str] = set()

    def take(self, entry: str, path: str, *, personal: bool, confidential: bool = False) -> None:
        """`entry` takes the file. Call entry by entry, in source order.

        `confidential`: by a rule with a secret value, so that no message may name the file.
        """
        if not self._entries or self._entries[-1] != entry:
            self._entries.append(entry)
        taker = len(self._entries) - 1
        if personal:
            self._personal.add(path)
        if confidential:
            self._confidential.add(path)
        known = self._takers.get(path)
        if known is None:
            self._takers[path] = taker
        elif isinstance(known, int):
            if known != taker:
                self._takers[path] = array("L", (known, taker))
        elif known[-1] != taker:
            known.append(taker)

    def shared(self, policy_for: PolicyFor, pointer_of: Callable[[str], str]) -> Iterator[Issue]:
        """`shared-file` for each entry that takes a file which is somebody's own and others take.

        `pointer_of` tells where an entry stands in the campaign file or its source.
        """
        severity = policy_for("shared-file")
        for path, takers in self._takers.items():
            if isinstance(takers, int) or path not in self._personal:
                continue
            name = (
                "A personal file" if path in self._confidential else f'The personal file "{path}"'
            )
            for taker in takers:
                entry = self._entries[taker]
                yield Issue(
                    "shared-file",
                    severity,
                    pointer_of(entry),
                    f"{name} is also taken by {self._others(takers, taker)}.",
                    "Check whose file it is; if it is meant for all, use a rule without personal"
                    " values.",
                    entry,
                )

    def unclaimed(
        self,
        files: Iterable[FileStat],
        policy_for: PolicyFor,
        *,
        pointer: str = "/attachments/base_path",
        known: Collection[str] = (),
        limit: int = 100,
    ) -> Iterator[Issue]:
        """`unclaimed-file` for each of `files` (`FileIndex.visible_files`) that no entry takes.

        `known`: paths that the campaign uses otherwise (its own file, its source, its templates).
        Above `limit` one last issue gives the number of the rest.
        """
        severity = policy_for("unclaimed-file")
        left = [
            stat.path for stat in files if stat.path not in self._takers and stat.path not in known
        ]
        hint = "Is a recipient missing, or a value mistyped? Else move the file elsewhere."
        for path in left[:limit]:
            yield Issue("unclaimed-file", severity, pointer, f'No entry takes "{path}".', hint)
        if len(left) > limit:
            yield Issue(
                "unclaimed-file",
                severity,
                pointer,
                f"No entry takes {len(left) - limit} further files ({len(left)} in all).",
                hint,
            )

    def uses(self, files: Iterable[FileStat], *, forgettable: Collection[str]) -> Iterator[FileUse]:
        """Who takes each of `files`; those that nobody takes only where in `forgettable`."""
        for stat in files:
            taken = self._takers.get(stat.path, ())
            takers = (taken,) if isinstance(taken, int) else taken
            if takers or stat.path in forgettable:
                yield FileUse(
                    MASK if stat.path in self._confidential else stat.path,
                    stat.size,
                    len(takers),
                    tuple(self._entries[taker] for taker in takers[:_FIRST_TAKERS]),
                    stat.path in self._personal,
                )

    def _others(self, takers: array[int], taker: int) -> str:
        # Two more than are named, so that leaving out the entry itself never leaves too few.
        first = [self._entries[other] for other in takers[: _OTHERS_NAMED + 1] if other != taker]
        named = ", ".join(f'"{entry}"' for entry in first[:_OTHERS_NAMED])
        more = len(takers) - 1 - _OTHERS_NAMED
        return f"{named} and {more} more" if more > 0 else named
