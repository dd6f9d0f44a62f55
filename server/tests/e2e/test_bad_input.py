"""Campaign files, and files that they name, which are wrong: an error each, nothing half done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, letter
from tests.e2e.scratch import Done

Prepare = Callable[[Path], None]


def _json(**parts: Any) -> Prepare:
    return lambda folder: _write(folder, letter(**parts))


def _write(folder: Path, campaign: object) -> None:
    (folder / "campaign.json").write_text(json.dumps(campaign), "utf-8")


def _bytes(data: bytes) -> Prepare:
    return lambda folder: (folder / "campaign.json").write_bytes(data) and None


def _with(campaign: dict[str, Any], **files: bytes) -> Prepare:
    """A campaign and files beside it (`__` in a name stands for the dot)."""

    def prepare(folder: Path) -> None:
        _write(folder, campaign)
        for name, data in files.items():
            (folder / name.replace("__", ".")).write_bytes(data)

    return prepare


def _all(*steps: Prepare) -> Prepare:
    def prepare(folder: Path) -> None:
        for step in steps:
            step(folder)

    return prepare


def _values(**values: str) -> dict[str, Any]:
    entry = {"id": "one", "to": ["ada@example.org"], "values": values}
    return {"inline": [entry]}


def _rule(**rule: Any) -> dict[str, Any]:
    return {"base_path": "files", "global": [{"label": "Card", **rule}]}


def _file(name: str, data: bytes = b"x", mode: int = 0o644) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        (folder / name).chmod(mode)

    return prepare


def _huge(name: str, size: int) -> Prepare:
    def prepare(folder: Path) -> None:
        _file(name)(folder)
        os.truncate(folder / name, size)

    return prepare


def _outside(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "secret.pdf").write_bytes(b"secret")
    (folder / "files/card.pdf").symlink_to(folder / "secret.pdf")


_SOURCE = {"source": {"type": "csv", "path": "people.csv", "encoding": "utf-8"}}
_CP1252 = "to,name\nada@example.org,Jörg".encode("cp1252")

#: Files that are no campaign: what to look for in the error.
_NOT_A_CAMPAIGN: dict[str, tuple[Prepare, list[str]]] = {
    "broken JSON": (
        _bytes(b'{"version": "1.0",\n "campaign": {"id" "x"}}'),
        ["invalid-json", "Line 2, column 20"],
    ),
    "nothing": (_bytes(b""), ["invalid-json", "empty"]),
    "not UTF-8": (
        _bytes('{"version":\n "Ä"}'.encode("cp1252")),
        ["wrong-encoding", "line 2", "0xC4"],
    ),
    "too deep": (_bytes(b"[" * 100_000), ["invalid-json", "deep"]),
    "a number that nobody means": (_bytes(b'{"version": 1e999999999}'), ["1e999999999"]),
    "a list": (_bytes(b"[1]"), ["wrong-type"]),
    "half a character": (_json(campaign={"id": "x", "name": "\ud800"}), ["/campaign/name"]),
    "an unknown key": (
        _json(recipient={"from": "sender@example.org"}),
        ["unknown-key", "/recipient", "recipients"],
    ),
    "a wrong type": (
        _json(server={"smtp": {"host": "mail.example.org", "port": "abc"}}),
        ["wrong-type", "/server/smtp/port", "abc"],
    ),
    "a key twice": (_bytes(b'{"version": "1.0", "version": "1.0"}'), ["duplicate-key", "version"]),
}

#: Campaigns of which no letter can be built: the issue, and what it names.
_BLOCKED: dict[str, tuple[Prepare, list[str]]] = {
    "a table in another encoding": (
        _with(letter(entries=_SOURCE), people__csv=_CP1252),
        ["wrong-encoding", "people.csv:2", "0xF6", "cp1252"],
    ),
    "no table": (_json(entries=_SOURCE), ["missing-file", "people.csv"]),
    "a folder as a table": (
        _all(_json(entries=_SOURCE), lambda folder: (folder / "people.csv").mkdir()),
        ["people.csv"],
    ),
    "a pipe as a table": (
        _all(_json(entries=_SOURCE), lambda folder: os.mkfifo(folder / "people.csv")),
        ["unreadable-file", "people.csv is not a regular file"],
    ),
    "a table that may not be read": (
        _all(_json(entries=_SOURCE), _file("people.csv", b"to\nada@example.org", 0)),
        ["unreadable-file", "people.csv", "Permission denied"],
    ),
    "no template": (
        _json(template={"subject": "x", "text": {"path": "letter.txt"}}),
        ["missing-file", "letter.txt", "/template/text"],
    ),
    "a link as a template": (
        _all(
            _json(template={"subject": "x", "text": {"path": "letter.txt"}}),
            lambda folder: (folder / "letter.txt").symlink_to("/etc/hostname"),
        ),
        ["unsafe-file", "letter.txt"],
    ),
    "no folder for the files": (
        _json(attachments=_rule(file_filter="*.pdf")),
        ["missing-folder", "files"],
    ),
}

#: Letters that must not leave: the entry's state, the issue, and what it names.
_BAD_LETTERS: dict[str, tuple[Prepare, str, list[str]]] = {
    "a line break in a value of a header": (
        _json(entries=_values(name="Ada\r\nBcc: eve@example.org")),
        "blocked",
        ["header-injection", "name"],
    ),
    "an empty value in a file pattern": (
        _all(
            _json(
                entries=_values(name="Ada", number=""),
                attachments=_rule(file_filter="${local::number}*.pdf"),
            ),
            _file("files/0007.pdf"),
        ),
        "blocked",
        ["missing-value", "number"],
    ),
    "a link that leaves the base": (
        _all(_json(attachments=_rule(file_filter="card.pdf")), _outside),
        "blocked",
        ["unsafe-file", "card.pdf"],
    ),
    "dots that leave the base": (
        _all(
            _json(
                entries=_values(name="Ada", number="../.."),
                attachments=_rule(base_dir="${local::number}", file_filter="*"),
            ),
            _file("files/0007.pdf"),
        ),
        "blocked",
        ["path-outside-base", "../.."],
    ),
    "an empty file": (
        _all(_json(attachments=_rule(file_filter="card.pdf")), _file("files/card.pdf", b"")),
        "needs_review",
        ["empty-file", "card.pdf"],
    ),
    "a file of 60 MB": (
        _all(
            _json(attachments=_rule(file_filter="card.pdf")),
            _huge("files/card.pdf", 60 * 1024 * 1024),
        ),
        "blocked",
        ["too-large", "26.2 MB", "max_message_bytes"],
    ),
    "a file that may not be read": (
        _all(
            _json(attachments=_rule(file_filter="card.pdf")),
            _file("files/card.pdf", b"x", 0),
        ),
        "blocked",
        ["unreadable-file", "card.pdf"],
    ),
    "a template that calls itself": (
        _json(
            template={
                "subject": "x",
                "text": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "engine": "jinja2",
            }
        ),
        "blocked",
        ["bad-template"],
    ),
    "a template without an end": (
        _json(
            template={
                "subject": "x",
                "text": "{% for i in range(10**10) %}{{ 'x' * 10**10 }}{% endfor %}",
                "engine": "jinja2",
            }
        ),
        "blocked",
        ["bad-template"],
    ),
    "a power without an end": (
        _json(
            template={"subject": "x", "text": "{{ 10**(10**10) }}", "engine": "jinja2"},
        ),
        "blocked",
        ["bad-template"],
    ),
}


def _build(desk: Desk, *more: str) -> Done:
    command = ("build_messages", "--campaign", "campaign.json", "--output-dir", "out")
    return desk.run(*command, *more, powerless=True)


def _import(desk: Desk) -> Done:
    command = ("import_campaign", "--campaign", "campaign.json", "--validate", "--build", "--json")
    return desk.run(*command, powerless=True)


def _says(done: Done, wanted: list[str]) -> None:
    """One JSON object alone, in which the issue names place, value and remedy."""
    assert done.err == "", done
    issues = [*done.json["issues"], *(i for e in done.json.get("entries", []) for i in e["issues"])]
    graver = [issue for issue in issues if issue["severity"] != "warn"]
    said = json.dumps(graver[0], ensure_ascii=False)
    assert [text for text in wanted if text not in said] == [], said
    assert graver[0]["hint"], said


@pytest.mark.parametrize("name", _NOT_A_CAMPAIGN)
def test_a_file_that_is_no_campaign_is_refused_and_nothing_is_kept(desk: Desk, name: str) -> None:
    prepare, wanted = _NOT_A_CAMPAIGN[name]
    prepare(desk.folder)
    files, rows = desk.files(), desk.rows()
    built, imported = _build(desk, "--json"), _import(desk)
    assert (built.code, imported.code) == (1, 1)
    _says(built, wanted)
    _says(imported, wanted)
    assert built.json["entries"] == []
    assert desk.rows() == rows
    assert desk.files() == files


@pytest.mark.parametrize("name", _BLOCKED)
def test_a_campaign_that_cannot_be_built_builds_nothing(desk: Desk, name: str) -> None:
    prepare, wanted = _BLOCKED[name]
    prepare(desk.folder)
    files = desk.files()
    built, imported = _build(desk, "--json"), _import(desk)
    assert (built.code, imported.code) == (1, 1)
    _says(built, wanted)
    _says(imported, wanted)
    assert imported.json["built"] is False
    rows = desk.rows()
    assert {rows[name] for name in ("jobs", "job_messages", "attachments")} == {0}
    assert desk.files() == files


@pytest.mark.parametrize("name", _BAD_LETTERS)
def test_a_letter_with_a_fault_is_not_queued(desk: Desk, name: str) -> None:
    prepare, state, wanted = _BAD_LETTERS[name]
    prepare(desk.folder)
    desk.allow_jinja()
    built, imported = _build(desk, "--json"), _import(desk)
    assert (built.code, imported.code) == (1, 1)
    _says(built, wanted)
    assert built.json["entries"][0]["status"] == state
    assert imported.json["summary"][state] == 1
    queued = desk.run("queue_campaign", "--campaign-id", imported.json["campaign_id"], "--json")
    assert queued.json["queued"] == 0
    assert queued.code == 1
    written = [each for each in desk.files() if each.endswith(".eml")]
    assert len(written) == (state == "needs_review")


def test_people_get_the_error_as_a_table(desk: Desk) -> None:
    desk.write(letter(recipient={}))
    done = _build(desk)
    assert done.code == 1
    assert "unknown-key" in done.out
    assert "Did you mean “recipients”?" in done.out
    assert done.err == ""


def test_an_id_twice_is_named_on_both(desk: Desk) -> None:
    entry = {"id": "one", "to": ["ada@example.org"], "values": {"name": "Ada"}}
    desk.write(letter(entries={"inline": [entry, {**entry, "to": ["bob@example.org"]}]}))
    done = _build(desk, "--json")
    assert done.code == 1
    found = [
        issue["code"]
        for each in [*done.json["entries"], {"issues": done.json["issues"]}]
        for issue in each["issues"]
    ]
    assert "duplicate-id" in found
    assert done.json["summary"]["ready"] == 0
    assert not (desk.folder / "out").exists() or not list((desk.folder / "out").glob("*.eml"))


def test_an_id_twice_stops_an_import(desk: Desk) -> None:
    entry = {"id": "one", "to": ["ada@example.org"], "values": {"name": "Ada"}}
    desk.write(letter(entries={"inline": [entry, {**entry, "to": ["bob@example.org"]}]}))
    done = _import(desk)
    assert done.code == 1
    assert "duplicate-id" in done.out
    assert desk.values("SELECT count(*) FROM jobs WHERE build_status = 'ready'") == [0]


# -- what is no file at all


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("absent.json", "There is no campaign file absent.json."),
        (".", "Is a directory"),
        ("pipe", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("secret.json", "Permission denied"),
        ("huge.json", "the most is"),
        ("secret.json/campaign.json", "Not a directory"),
    ],
)
def test_what_cannot_be_read_is_wrong_use(desk: Desk, path: str, wanted: str) -> None:
    os.mkfifo(desk.folder / "pipe")
    _file("secret.json", b"{}", 0)(desk.folder)
    _huge("huge.json", 300 * 1024 * 1024)(desk.folder)
    rows = desk.rows()
    for command in ("validate_campaign", "import_campaign"):
        done = desk.run(command, "--campaign", path, "--json", powerless=True)
        assert done.code == 2, done
        assert wanted in done.json["error"]
        assert done.json["hint"]
        assert done.err == ""
    assert desk.rows() == rows


def test_a_name_that_is_not_unicode_is_taken_and_shown(desk: Desk) -> None:
    name = os.fsdecode(b"caf\xe9.json")
    for as_json in ([], ["--json"]):
        done = desk.run("validate_campaign", "--campaign", name, *as_json)
        assert done.code == 2, done
        assert "There is no campaign file caf" in done.out + done.err
    desk.write(letter())
    (desk.folder / "campaign.json").rename(desk.folder / name)
    rows = desk.rows()
    done = desk.run("import_campaign", "--campaign", name, "--json")
    assert done.code == 2, done
    assert "Rename" in done.json["hint"]
    assert desk.rows() == rows
