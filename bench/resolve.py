"""How fast rules find their files: one scan and an index, against one glob for each rule.

    python bench/resolve.py [--entries 10000 100000] [--sample 20]

Both work on the same folder of empty files in one run. `glob` reads the folder anew for every
rule, so only a sample is timed and multiplied; the sample's size is printed.
"""

# ruff: noqa: T201, PTH207 - a bench prints, and glob is what it is measured against
from __future__ import annotations

import argparse
import gc
import glob
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))
from app.mailer.adapters.file_tree import DiskFileTree
from app.mailer.domain.files.attachments import RenderedRule, Resolver
from app.mailer.domain.files.index import FileIndex
from app.mailer.domain.issues import Severity

#: What speed.md asks for: our rules a second against those of one glob each.
GOAL = 200
_SHAPES = {
    "beginning": "Bill_{0:06d}_*.pdf",
    "end": "*{0:06d}_x.pdf",
    "middle": "*_{0:06d}_*.pdf",
    "middle, bare": "*{0:06d}*.pdf",
}


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def resolve(folder: Path, patterns: list[str]) -> FileIndex:
    tree = DiskFileTree(folder)
    index = FileIndex(tree.scan(), tree.folders)
    resolver = Resolver(index, lambda _code: Severity.BLOCK)
    for number, pattern in enumerate(patterns):
        decision = resolver.resolve(RenderedRule("Bill", f"/entries/{number}", "", pattern))
        if len(decision.files) != 1:
            sys.exit(f"{pattern} found {len(decision.files)} files")
    return index


def ask_glob(patterns: list[str]) -> None:
    for pattern in patterns:
        glob.glob(pattern)


def measure(entries: int, sample: int) -> Iterator[tuple[str, float, float]]:
    """Each shape of pattern, with the seconds of ours and of `glob` for all entries."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(entries):
            (folder / f"Bill_{number:06d}_x.pdf").touch()
        for shape, template in _SHAPES.items():
            patterns = [template.format(number) for number in range(entries)]
            ours = timed(partial(resolve, folder, patterns))
            asked = [str(folder / p) for p in patterns[:: max(1, entries // sample)]]
            yield shape, ours, timed(partial(ask_glob, asked)) * entries / len(asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--sample", type=int, default=20, help="rules timed with glob")
    chosen = parser.parse_args()
    before: dict[str, float] = {}
    print(f"{'entries':>8}  {'pattern':<13} {'scan+index':>10} {'glob':>10} {'ratio':>8}  growth")
    for entries in chosen.entries:
        for shape, ours, peer in measure(entries, chosen.sample):
            growth = f"{ours / before[shape]:.1f}x" if shape in before else ""
            before[shape] = ours
            print(
                f"{entries:>8}  {shape:<13} {ours:>9.3f}s {peer:>9.1f}s {peer / ours:>8.0f}"
                f"  {growth}",
                flush=True,
            )
    print(f"glob: {chosen.sample} rules timed and multiplied. Goal: a ratio of {GOAL} at least.")


if __name__ == "__main__":
    main()
