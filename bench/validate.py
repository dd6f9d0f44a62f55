"""How fast the shape of a campaign file is checked: ours against the JSON Schema's validators.

    python bench/validate.py [--entries 10000 100000]

All check the same parsed document, a campaign with its entries in the file. `jsonschema` takes
long, so it gets a tenth of the entries and its time is multiplied. `jsonschema-rs` says yes or no
alone, and stops at the first fault; ours also makes the typed campaign that the program works with.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))
from make_files import campaign, people

from app.mailer.domain.campaign.schema import campaign_schema
from app.mailer.domain.campaign.shape import read_shape_of

#: What speed.md asks for: ours against `jsonschema`.
GOAL = 50
#: So many times fewer entries go to `jsonschema`.
_LESS = 10


def measure(entries: int, rounds: int) -> dict[str, float]:
    """Seconds of `ours`, `jsonschema` (multiplied) and `jsonschema-rs`: medians of the rounds."""
    whole, part = inline_campaign(entries), inline_campaign(max(1, entries // _LESS))
    schema = campaign_schema()
    slow, fast = jsonschema.Draft202012Validator(schema), jsonschema_rs.validator_for(schema)
    scale = entries / len(part["entries"]["inline"])
    contenders: dict[str, tuple[Callable[[], object], float]] = {
        "ours": (lambda: read_shape_of(whole)[0], 1),
        "jsonschema": (lambda: slow.is_valid(part), scale),
        "jsonschema-rs": (lambda: fast.is_valid(whole), 1),
    }
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (check, factor) in contenders.items():
            gc.collect()
            begun = time.perf_counter()
            valid = check()
            found[name].append((time.perf_counter() - begun) * factor)
            if not valid:
                raise AssertionError(f"{name} refuses the campaign")
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def inline_campaign(entries: int) -> dict[str, Any]:
    """A campaign whose entries stand in the file, as a parser leaves it."""
    document = campaign(expect_text=False)
    document["entries"] = {
        "inline": [
            {
                "id": number,
                "to": [f"{name} <{address}>"],
                "values": {"number": number, "name": name},
            }
            for number, name, address in people(entries)
        ]
    }
    parsed: dict[str, Any] = json.loads(json.dumps(document))
    return parsed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    failed = False
    for entries in chosen.entries:
        found = measure(entries, chosen.rounds)
        ratio = found["jsonschema"] / found["ours"]
        failed |= ratio < GOAL
        seconds = "   ".join(f"{name} {value:.3f} s" for name, value in found.items())
        print(f"{entries:>8} entries: {seconds}   ratio {ratio:.0f} (goal {GOAL})", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
