"""What the commands print: safe for terminals, whole for programs."""

from __future__ import annotations

import io
import json
import threading
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from sqlalchemy.exc import OperationalError

from app.mailer.commands import terminal
from app.mailer.commands.terminal import Bar, Counted, coloured, letters, parse_uuid
from app.mailer.domain.errors import MailerError


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    return _console(monkeypatch, 160)


def _console(monkeypatch: pytest.MonkeyPatch, width: int) -> Console:
    console = Console(width=width, record=True, file=io.StringIO())
    monkeypatch.setattr(terminal, "out", console)
    return console


@given(st.text())
def test_data_is_shown_as_it_is_or_not_at_all(text: str) -> None:
    shown = Text.from_markup(coloured(text)).plain
    assert len(shown) == len(text)
    for said, meant in zip(shown, text, strict=True):
        assert said == meant or (said == "�" and not meant.isprintable())
        assert said.isprintable() or said == "\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07x", "�]0;title�x"),
        ("a\rb\x9bc", "a�b�c"),
        ("\u202egnp.exe", "�gnp.exe"),
        ("[red]no[/red]", "[red]no[/red]"),
        ("\\[red]", "\\[red]"),
        ("[link=http://evil.example]", "[link=http://evil.example]"),
    ],
)
def test_data_can_neither_steer_the_terminal_nor_be_markup(text: str, shown: str) -> None:
    assert Text.from_markup(coloured(text)).plain == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 letters wait"), (1, "1 letter waits"), (2, "2 letters wait")]
)
def test_one_letter_is_no_letters(count: int, shown: str) -> None:
    assert letters(count, "waits", "wait") == shown
    assert shown.startswith(letters(count))


def test_states_have_their_colour_and_nothing_else_has() -> None:
    assert coloured("blocked") == "[red]blocked[/]"
    assert coloured("a blocked one") == "a blocked one"
    assert coloured(None) == ""
    assert coloured(7) == "7"


def test_a_table_that_is_too_narrow_for_its_ids_becomes_paragraphs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = (uuid4(), "A name with many words in it", "sent")
    for width in (40, 60, 160):
        console = _console(monkeypatch, width)
        terminal.print_table("Campaigns", ["Id", "Name", "State"], [row])
        text = console.export_text()
        assert str(row[0]) in text, width
        assert ("┃" in text) == (width == 160)


def test_a_line_is_broken_by_the_terminal_alone(console: Console) -> None:
    path = "/folder/" * 100
    terminal.say(f"It is in {path}.")
    assert path in console.export_text()


def test_a_json_document_has_whatever_names_files_have(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    terminal.print_json({"path": "caf\udce9.json", "id": UUID(int=7)})
    out, _ = capfdbinary.readouterr()
    assert json.loads(out) == {"path": "caf\udce9.json", "id": str(UUID(int=7))}


@pytest.mark.parametrize("items", [[], [{"a": 1}], [{"a": "ü"}, {"a": 2}, {"a": None}]])
def test_a_stream_is_one_document(
    capfdbinary: pytest.CaptureFixture[bytes], items: list[object]
) -> None:
    terminal.print_json_stream({"head": True}, "entries", iter(items))
    out, _ = capfdbinary.readouterr()
    assert json.loads(out) == {"head": True, "entries": items}


def test_threads_count_together() -> None:
    told: list[tuple[str, int, int | None]] = []

    class Heard(Bar):
        def __call__(self, phase: str, done: int, total: int | None) -> None:
            told.append((phase, done, total))

    counted = Counted(Heard(), "Sending")
    counted.start(400)
    threads = [
        threading.Thread(target=lambda: [counted.done("job", "sent") for _ in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done for _, done, _ in told) == list(range(401))
    assert {(phase, total) for phase, _, total in told} == {("Sending", 400)}


def test_an_id_is_taken_in_every_usual_form() -> None:
    number = uuid4()
    for text in (str(number), number.hex, str(number).upper()):
        assert parse_uuid(text, "--campaign-id") == number
    with pytest.raises(MailerError, match="--version-id: “7” is not an id"):
        parse_uuid("7", "--version-id")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_database_that_fails_midway_is_a_sentence_and_no_traceback(capsys, monkeypatch, flags):
    def command(as_json: terminal.AsJson = False) -> int:
        raise OperationalError(
            "UPDATE jobs", {"to": "ada@example.org"}, Exception("disk is full\n")
        )

    monkeypatch.setattr("sys.argv", ["command", *flags])
    with pytest.raises(SystemExit) as end:
        terminal.run(command)
    shown = capsys.readouterr()
    assert end.value.code == terminal.WRONG_USE
    assert "disk is full" in (shown.out if flags else shown.err)
    assert "ada@example.org" not in shown.out + shown.err
    if flags:
        assert "disk is full" in json.loads(shown.out)["error"]
