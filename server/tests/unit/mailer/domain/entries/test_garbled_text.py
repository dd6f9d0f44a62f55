from __future__ import annotations

import pytest

from app.mailer.domain.entries.garbled_text import garbled


@pytest.mark.parametrize("word", ["Müller", "Groß", "Zoë", "Ærø", "García", "5 – 6", "§ 5", "10 €"])
def test_utf8_that_was_read_as_cp1252(word: str) -> None:
    spoilt = word.encode().decode("cp1252", errors="ignore")
    assert garbled(word) is None
    assert "wrong encoding" in (garbled(f"Dear {spoilt},\nhello") or "")


def test_a_character_that_was_lost() -> None:
    assert "“Dear M\ufffdller”" in (garbled("Dear M\ufffdller") or "")


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "„Spaß“",
        "„Ä“",
        "«IRMÃ»",
        "MAÇÃ",
        "“IRMÃ”",
        "ÂGE",
        "à la",
        "Â\u00a0",
        "日本",
        "€uro",
    ],
)
def test_sound_text(text: str) -> None:
    assert garbled(text) is None
