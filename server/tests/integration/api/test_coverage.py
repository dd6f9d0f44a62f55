"""Who gets what: people and their files, files and their people."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.letters import V1, Letters, build
from tests.integration.api.work import take
from tests.integration.services.pipeline.desk import entry


@pytest.fixture
def letters(api: Api, tmp_path: Path) -> Letters:
    """e1 and e2 take one personal file and are blocked, e3 is inactive, e5 gets nothing."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a_0.pdf", "b_1.pdf", "forgotten.pdf", "info.txt", "z_3.pdf", "secret_77.pdf"):
        (folder / name).write_bytes(b"%PDF-" + name.encode())
    own = ["a_0.pdf", "b_1.pdf", "b_1.pdf", "z_3.pdf", "secret_${local::pin}.pdf"]
    entries: list[dict[str, Any]] = [
        entry(number, attachments=[{"file_filter": name}]) for number, name in enumerate(own)
    ]
    entries[3]["active"] = False
    entries[4]["values"] = {"pin": "77"}
    entries += [entry(5, attachments=[]), entry(6), entry(7)]
    return build(
        api,
        tmp_path,
        recipients={"from": "Office <office@example.org>", "combine": {"attachments": False}},
        fields=[{"name": "pin", "type": "secret"}],
        validation_policy={"shared_file": "block"},
        attachments={"base_path": "files", "global": [{"file_filter": "info.txt"}]},
        entries={"inline": entries},
    )


def _files(letters: Letters, query: str = "") -> list[dict[str, Any]]:
    url = f"versions/{letters.version_id}/coverage/files?{query}"
    found: list[dict[str, Any]] = letters.get(url)["items"]
    return found


def _people(letters: Letters, query: str = "") -> dict[str, list[str]]:
    url = f"versions/{letters.version_id}/coverage/people?{query}"
    return {
        each["entry_id"]: [file["filename"] for file in each["files"]]
        for each in letters.get(url)["items"]
    }


def test_each_file_has_its_takers_blocked_and_inactive_ones_too(letters: Letters) -> None:
    found = {each["path"]: (each["use"], each["first_takers"]) for each in _files(letters)}
    assert found == {
        "a_0.pdf": ("single", ["e0"]),
        "b_1.pdf": ("contested", ["e1", "e2"]),
        "forgotten.pdf": ("unclaimed", []),
        "info.txt": ("shared", ["e6", "e7"]),
        "•••": ("single", ["e4"]),
        "z_3.pdf": ("single", ["e3"]),
    }


_BY_USE = [
    ("use=unclaimed", ["forgotten.pdf"]),
    ("use=contested", ["b_1.pdf"]),
    ("use=shared", ["info.txt"]),
    ("use=single", ["a_0.pdf", "•••", "z_3.pdf"]),
    ("search=FORGOT", ["forgotten.pdf"]),
    ("search=%25", []),
    ("search=secret", []),
    ("sort=-takers&limit=2", ["info.txt", "b_1.pdf"]),
]


def test_files_by_use(letters: Letters) -> None:
    found = {q: [each["path"] for each in _files(letters, q)] for q, _ in _BY_USE}
    assert found == dict(_BY_USE)


def test_files_come_in_pages(letters: Letters) -> None:
    url = f"versions/{letters.version_id}/coverage/files"
    for sort in ("path", "-path", "takers", "-takers", "size", "-size"):
        found, cursor = [], ""
        while cursor is not None:
            page = letters.get(f"{url}?sort={sort}&limit=2{cursor}")
            found += page["items"]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert found == _files(letters, f"sort={sort}")
        assert len(found) == 6


def test_each_person_has_the_files_of_the_letter(letters: Letters) -> None:
    assert _people(letters) == {
        "e0": ["a_0.pdf"],
        "e1": [],
        "e2": [],
        "e3": [],
        "e4": ["•••"],
        "e5": [],
        "e6": ["info.txt"],
        "e7": ["info.txt"],
    }
    assert list(_people(letters, "without_files=true")) == ["e1", "e2", "e3", "e5"]
    assert list(_people(letters, "path=info.txt")) == ["e6", "e7"]
    assert _people(letters, "path=b_1.pdf") == {}
    assert _people(letters, "needs_review=true") == {}
    assert list(_people(letters, "sort=-entry_id&limit=2")) == ["e7", "e6"]


def test_a_new_build_replaces_what_was_known(letters: Letters, tmp_path: Path) -> None:
    (tmp_path / "files/forgotten.pdf").unlink()
    newer = build(letters.api, tmp_path, 1, attachments={"base_path": "files"})
    assert _files(newer) == []
    assert len(_files(letters)) == 6


def test_what_is_not_built_has_no_coverage(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path, 1)
    for what in ("people", "files"):
        url = f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}/coverage/{what}"
        assert api.acme.get(url).status_code == 409
        assert api.rival.get(url).status_code == 404
        other = url.replace(str(made.version_id), str(uuid4()))
        assert api.acme.get(other).status_code == 404
        assert api.client("files:read").get(url).status_code == 403
