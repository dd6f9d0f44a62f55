"""Makes a campaign with N entries: campaign.json, entries.csv, templates and N small real PDFs.

    python bench/make_files.py --entries 100000 --to /tmp/campaign

Each PDF holds its person's number and name, so that `expect_text` can be tried. The CSV is as
German Excel writes it: semicolons, cp1252.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pdf import tiny_pdf

_FIRST = ("Ada", "Jörg", "Zoë", "Grace", "Émile", "Alan", "Mary", "Søren", "Ülkü", "Edsger")
_LAST = ("Müller", "Lovelace", "Groß", "Hopper", "Nuñez", "Turing", "Weiß", "Ångström", "Yilmaz")

_TEXT = """Dear ${local::name},

please find enclosed your certificate ${local::number} for ${global::year}.

Yours sincerely
The office
"""


def people(entries: int) -> Iterator[tuple[str, str, str]]:
    """Number, name and address of each person; names recur, numbers do not."""
    for place in range(1, entries + 1):
        name = f"{_FIRST[place % len(_FIRST)]} {_LAST[place // 7 % len(_LAST)]}"
        yield f"{place:06d}", name, f"person{place}@example.org"


def campaign(expect_text: bool) -> dict[str, object]:
    rule: dict[str, object] = {
        "label": "Certificate",
        "base_dir": "pdf",
        "file_filter": "Certificate_${local::number}_*.pdf",
        "filename": "Certificate ${local::number}.pdf",
    }
    if expect_text:
        rule["expect_text"] = ["${local::number}", "${local::name}"]
    return {
        "version": "1.0",
        "campaign": {"id": "bench", "name": "Bench", "mode": "send"},
        "fields": [
            {"name": "number", "type": "string", "scope": "local", "required": True},
            {"name": "name", "type": "string", "scope": "local", "required": True},
            {"name": "year", "type": "integer", "scope": "global"},
        ],
        "global_values": {"year": 2026},
        "server": {
            "smtp": {"host": "127.0.0.1", "port": 2525, "security": "plain"},
        },
        "recipients": {"from": "The Office <office@example.org>"},
        "template": {"subject": "Your certificate ${local::number}", "text": _TEXT},
        "attachments": {"base_path": "files", "global": [rule]},
        "entries": {
            "source": {
                "type": "csv",
                "path": "entries.csv",
                "mapping": {
                    "id": "number",
                    "to": "email",
                    "values": {"number": "number", "name": "name"},
                },
            }
        },
    }


def make(folder: Path, entries: int, size: int = 0, expect_text: bool = False) -> None:
    pdfs = folder / "files" / "pdf"
    pdfs.mkdir(parents=True)
    with (folder / "entries.csv").open("w", encoding="cp1252", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(("number", "name", "email"))
        for number, name, address in people(entries):
            table.writerow((number, name, address))
            data = tiny_pdf(("Certificate", f"No. {number}", f"for {name}"), size)
            (pdfs / f"Certificate_{number}_{name.replace(' ', '_')}.pdf").write_bytes(data)
    text = json.dumps(campaign(expect_text), ensure_ascii=False, indent=2)
    (folder / "campaign.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--to", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument(
        "--size", type=int, default=0, help="bytes of each PDF (default: about 900)"
    )
    parser.add_argument("--expect-text", action="store_true", help="check the text of each PDF")
    chosen = parser.parse_args()
    begun = time.perf_counter()
    make(chosen.to, chosen.entries, chosen.size, chosen.expect_text)
    print(f"{chosen.entries} entries in {time.perf_counter() - begun:.1f} s: {chosen.to}")


if __name__ == "__main__":
    main()
