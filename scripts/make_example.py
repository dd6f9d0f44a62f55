"""Makes the binary files of the example campaign: the CSV, the PDFs and the logo.

    python scripts/make_example.py [FOLDER]

FOLDER is `server/app/mailer/examples` unless told otherwise. The same script gives the same bytes
everywhere; a test compares them with the committed files. `campaign.json` and the letter are
written by hand.
"""

from __future__ import annotations

import csv
import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from pdf import tiny_pdf

EXAMPLES = Path(__file__).resolve().parents[1] / "server/app/mailer/examples"
STATEMENTS = "files/statements/2026"
HEADER = (
    "Mitgliedsnr.",
    "Anrede",
    "Vorname",
    "Nachname",
    "E-Mail",
    "Anschrift",
    "Eintritt",
    "Beitrag",
    "Verschlüsselt",
    "Kennwort",
    "Aktiv",
)
# fmt: off
MEMBERS = (
    ("0007", "Sehr geehrte Frau Weißenbach", "Anna", "Weißenbach", "anna.weissenbach@example.org",
     "Lindenallee 4\n04177 Leipzig", "14.03.1998", "48,00", "nein", "", "ja"),
    ("0012", "Lieber Jörg", "Jörg", "Müller", "joerg.mueller@example.org",
     "Am Mühlgraben 12\n04179 Leipzig", "01.09.2004", "48,00", "ja", "Waldhorn-&-Tuba", "ja"),
    ("0023", "Kæra Þóra", "Þóra", "Jónsdóttir", "thora@example.org",
     "Öldugata 18\n101 Reykjavík\nIsland", "07.05.2010", "48,00", "ja", "nordurljos 1944", "ja"),
    ("0038", "Sehr geehrte Frau Köhler", "Claudia", "Köhler", "claudia@köhler.example.org",
     "Karl-Heine-Straße 77\n04229 Leipzig", "20.11.2011", "24,00", "nein", "", "ja"),
    ("0041", "Cher François", "François", "Lefèvre", "francois.lefevre@example.org",
     "3, rue de l'Église\n67000 Strasbourg\nFrankreich", "02.02.2012", "48,00", "ja",
     "Qu'est-ce que c'est?", "ja"),
    ("0056", "Liebe Familie Schäfer", "Ilse und Bernd", "Schäfer",
     "ilse.schaefer@example.org;bernd.schaefer@example.org",
     "Merseburger Straße 101\n04177 Leipzig", "30.06.2013", "72,00", "nein", "", "ja"),
    ("0061", "Sehr geehrte Frau Grünwald", "Ute", "Grünwald", "ute.gruenwald@example.org",
     "Birkenweg 9; Hinterhaus\n04425 Taucha", "11.10.2015", "48,00", "nein", "", "ja"),
    ("0074", "Liebe Heike", "Heike", "Brandt", "familie.brandt@example.org",
     "Kirchgasse 2\n04509 Delitzsch", "15.01.2017", "48,00", "nein", "", "ja"),
    ("0075", "Lieber Klaus", "Klaus", "Brandt", "familie.brandt@example.org",
     "Kirchgasse 2\n04509 Delitzsch", "15.01.2017", "48,00", "nein", "", "ja"),
    ("0088", "Sehr geehrter Herr Vogel", "Martin", "Vogel", "martin.vogel@example.org",
     'Gasthof "Zur Post"\nMarkt 1\n04416 Markkleeberg', "23.04.2019", "48,00", "nein", "", "ja"),
    ("0093", "Sehr geehrte Frau Krause", "Sabine", "Krause", "sabine.krause@example.org",
     "Uferstraße 30\n04105 Leipzig", "01.12.2025", "48,00", "nein", "", "ja"),
    ("0104", "Lieber Walter", "Walter", "Lindner", "walter.lindner@example.org",
     "Gartenstraße 5\n04177 Leipzig", "19.08.1987", "48,00", "nein", "", "nein"),
)
# fmt: on
#: File name of a statement, and what stands in it: number, name, contribution, sometimes a date.
PAPERS: tuple[tuple[str, ...], ...] = (
    ("0007_Weißenbach_Anna.pdf", "0007", "Anna Weißenbach", "48,00"),
    ("0012_Müller_Jörg.pdf", "0012", "Jörg Müller", "48,00"),
    ("0023_Jónsdóttir_Þóra.pdf", "0023", "Þóra Jónsdóttir", "48,00"),
    ("0038_Köhler_Claudia.pdf", "0038", "Claudia Köhler", "24,00"),
    ("0041_Lefèvre_François.pdf", "0041", "François Lefèvre", "48,00"),
    ("0056_Schäfer.pdf", "0056", "Ilse und Bernd Schäfer", "72,00"),
    # Two for one member: which one is right, a person must say.
    ("0061_Grünwald_Ute.pdf", "0061", "Ute Grünwald", "48,00"),
    ("0061_Grünwald_Ute_neu.pdf", "0061", "Ute Grünwald", "48,00", "23. November 2026"),
    ("0074_Brandt_Heike.pdf", "0074", "Heike Brandt", "48,00"),
    ("0075_Brandt_Klaus.pdf", "0075", "Klaus Brandt", "48,00"),
    # The right file name, another person inside.
    ("0088_Vogel_Martin.pdf", "0088", "Martina Vogl", "48,00"),
    # 0093 has none. 0104 has left, and 0140 is nobody's number.
    ("0104_Lindner_Walter.pdf", "0104", "Walter Lindner", "48,00"),
    ("0140_Neumann_Paul.pdf", "0140", "Paul Neumann", "48,00"),
)


def files() -> Iterator[tuple[str, bytes]]:
    """Path below the example's folder and content of every file that is made."""
    yield "members.csv", members_csv()
    yield "letter/logo.png", logo()
    yield "files/Satzung.pdf", statutes()
    for name, *content in PAPERS:
        yield f"{STATEMENTS}/{name}", statement(*content)


def members_csv() -> bytes:
    """What a German Excel saves as "CSV (Trennzeichen-getrennt)"."""
    table = io.StringIO(newline="")
    csv.writer(table, delimiter=";", lineterminator="\r\n").writerows([HEADER, *MEMBERS])
    return table.getvalue().encode("cp1252")


def statement(
    number: str, person: str, contribution: str, issued: str = "20. November 2026"
) -> bytes:
    return tiny_pdf(
        [
            "Musikverein Lindenau e. V.",
            "",
            "BEITRAGSBESCHEINIGUNG 2026",
            "",
            f"Mitgliedsnummer:   {number}",
            f"Mitglied:   {person}",
            f"Beitrag für 2026:   {contribution} €",
            "",
            "Der Beitrag ist vollständig eingegangen.",
            "",
            f"Leipzig-Lindenau, den {issued}",
            "Renate Förster, Kassenwartin",
        ]
    )


def statutes() -> bytes:
    return tiny_pdf(
        [
            "Satzung des Musikvereins Lindenau e. V.",
            "in der Fassung vom 14. März 2026",
            "",
            "§ 1  Der Verein fördert die Musik in Lindenau.",
            "§ 2  Mitglied kann werden, wer Musik macht oder gern hört.",
            "§ 3  Den Beitrag beschließt die Mitgliederversammlung; er ist bis zum",
            "      31. März fällig.",
            "§ 4  Der Vorstand besteht aus drei Personen und wird für zwei Jahre gewählt.",
            "§ 5  Geprobt wird donnerstags um 19.30 Uhr.",
        ]
    )


# ---------------------------------------------------------------- the logo

SIDE = 128
GROUND = (20, 96, 107)
#: Subpixels of one pixel in each direction: their share makes smooth edges.
FINE = 4
#: Palette: 0 to 7 are the ground, ever less transparent, 8 to 15 the ground, ever whiter.
SHADES = 8


def logo() -> bytes:
    """Two beamed quavers, white on a disc, as a PNG (W3C) of 16 colours."""
    palette = [GROUND] * SHADES + [
        tuple(c + (255 - c) * step // SHADES for c in GROUND) for step in range(1, SHADES + 1)
    ]
    opacity = bytes(255 * step // (SHADES - 1) for step in range(SHADES))
    pixels = b"".join(b"\0" + _row(y) for y in range(SIDE))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 4, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(map(bytes, palette))),
            _chunk(b"tRNS", opacity),
            _chunk(b"IDAT", _stored(pixels)),
            _chunk(b"IEND", b""),
        )
    )


def _row(y: int) -> bytes:
    shades = [_shade(x, y) for x in range(SIDE)]
    return bytes(left << 4 | right for left, right in zip(shades[::2], shades[1::2], strict=True))


def _shade(x: int, y: int) -> int:
    """The palette's index for a pixel."""
    points = [
        (x + (i + 0.5) / FINE, y + (j + 0.5) / FINE) for i in range(FINE) for j in range(FINE)
    ]
    white = sum(_in_notes(*point) for point in points)
    if white:
        return SHADES - 1 + -(-white * SHADES // len(points))
    inside = sum((px - 64) ** 2 + (py - 64) ** 2 < 62**2 for px, py in points)
    return inside * (SHADES - 1) // len(points)


def _in_notes(x: float, y: float) -> bool:
    beam_top = 34 - (x - 50) * 0.2
    stems = (50 <= x < 55 and beam_top <= y < 88) or (87 <= x < 92 and beam_top <= y < 80)
    beam = 50 <= x < 92 and beam_top <= y < beam_top + 13
    return stems or beam or _in_head(x - 43, y - 89) or _in_head(x - 80, y - 81)


def _in_head(x: float, y: float) -> bool:
    """An ellipse, turned by 20 degrees (its sine and cosine are written out: equal everywhere)."""
    along, across = x * 0.94 - y * 0.342, x * 0.342 + y * 0.94
    return (along / 12.5) ** 2 + (across / 9) ** 2 < 1


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(data: bytes) -> bytes:
    """A zlib stream without compression (RFC 1950, 1951): what zlib packs differs by version."""
    size = struct.pack("<HH", len(data), len(data) ^ 0xFFFF)
    return b"\x78\x01\x01" + size + data + struct.pack(">I", zlib.adler32(data))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES
    for path, data in files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


if __name__ == "__main__":
    main()
