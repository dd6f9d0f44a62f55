"""The stored form of a campaign file: no secret, no path that depends on a folder, nothing lost."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.campaign.snapshot import (
    resealed,
    with_absolute_paths,
    with_secrets,
    without_secrets,
)

from .documents import complete, draft


def split(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    campaign, issues = read_shape_of(raw)
    assert campaign is not None, issues
    return without_secrets(raw)


SECRET_FIELD = {"name": "pin", "type": "secret"}


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (draft(server={"smtp": {"host": "a.example", "password": "X7"}}), "/server/smtp/password"),
        (draft(server={"imap": {"password": "X7"}}), "/server/imap/password"),
        (draft(attachments={"zip": {"password": "X7"}}), "/attachments/zip/password"),
        (draft(attachments={"zip": {"password": "X7${x}"}}), "/attachments/zip/password"),
        (draft(attachments={"zip": {"password": "${x}${X7}"}}), "/attachments/zip/password"),
        (draft(fields=[{"name": "a"}, {**SECRET_FIELD, "default": "X7"}]), "/fields/1/default"),
        (draft(fields=[SECRET_FIELD], global_values={"pin": "X7"}), "/global_values/pin"),
        (
            draft(fields=[SECRET_FIELD], entries={"inline": [{}, {"values": {"pin": "X7"}}]}),
            "/entries/inline/1/values/pin",
        ),
    ],
)
def test_each_secret_is_taken_out_and_comes_back(raw: dict[str, Any], pointer: str) -> None:
    before = copy.deepcopy(raw)
    config, secrets = split(raw)
    assert list(secrets) == [pointer]
    assert "X7" not in json.dumps(config)
    assert f'"secret:{pointer}"' in json.dumps(config)
    assert raw == before
    assert with_secrets(config, secrets) == raw


@pytest.mark.parametrize(
    "raw",
    [
        draft(),
        draft(server={"smtp": {"host": "a.example"}}),
        draft(attachments={"zip": {"password": "${local::pin}"}}),
        draft(attachments={"zip": {"enabled": True}}),
        draft(fields=[{"name": "a", "default": "x"}], global_values={"a": "x"}),
        draft(fields=[SECRET_FIELD], entries={"inline": [{"values": {"pin": ""}}, {"id": "a"}]}),
        draft(fields=[SECRET_FIELD], global_values={"pin": None}),
    ],
)
def test_what_is_no_secret_stays(raw: dict[str, Any]) -> None:
    assert split(raw) == (raw, {})


def test_in_a_complete_file_nothing_else_changes() -> None:
    raw = complete()
    raw["fields"] = [{**SECRET_FIELD, "default": 7}]
    raw["server"].pop("account")
    config, secrets = split(raw)
    assert with_secrets(config, secrets) == raw
    assert read_shape_of(with_secrets(config, secrets)) == read_shape_of(raw)


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=8), st.integers(), st.booleans()), max_size=5)
)
def test_values_of_a_secret_field_come_back(values: list[Any]) -> None:
    raw = draft(
        fields=[SECRET_FIELD], entries={"inline": [{"values": {"pin": value}} for value in values]}
    )
    campaign, _ = read_shape_of(raw)
    if campaign is None:  # half a character
        return
    config, secrets = without_secrets(raw)
    assert with_secrets(config, secrets) == raw
    kept = [each["values"]["pin"] for each in config["entries"]["inline"]]
    assert all(value in (None, "") or str(value).startswith("secret:") for value in kept)


def test_paths_become_absolute() -> None:
    raw = draft(
        template={
            "subject": "letters/subject.txt",
            "text": {"path": "a.txt", "encoding": "utf-8"},
            "html": {"path": "b.html"},
            "inline_images": [{"cid": "x", "path": "c.png"}],
        },
        attachments={"base_path": "files", "global": [{"file_filter": "*", "base_dir": "d"}]},
        entries={"source": {"path": "e.csv"}, "inline": []},
    )
    before = copy.deepcopy(raw)
    found = with_absolute_paths(raw, lambda path: f"/home/{path}")
    assert raw == before
    assert found["template"] == {
        "subject": "letters/subject.txt",
        "text": {"path": "/home/a.txt", "encoding": "utf-8"},
        "html": {"path": "/home/b.html"},
        "inline_images": [{"cid": "x", "path": "/home/c.png"}],
    }
    assert found["attachments"]["base_path"] == "/home/files"
    assert found["attachments"]["global"] == raw["attachments"]["global"]
    assert found["entries"]["source"] == {"path": "/home/e.csv"}


@pytest.mark.parametrize("raw", [draft(), draft(attachments={}), draft(entries={"source": None})])
def test_without_a_base_it_is_the_files_own_folder(raw: dict[str, Any]) -> None:
    found = with_absolute_paths(raw, lambda path: f"/home/{path}")
    assert found["attachments"]["base_path"] == "/home/."


# ---------------------------------------------------------------- drafts, and edits of what is kept


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["server", "smtp", "password", "fields", "entries", "inline", "values", "zip"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=15,
)
_drafts = st.dictionaries(
    st.sampled_from(["server", "attachments", "fields", "global_values", "entries"]), _anything
)


@given(_drafts, _drafts)
def test_a_draft_of_any_shape_can_be_kept_and_edited(
    raw: dict[str, Any], edit: dict[str, Any]
) -> None:
    config, secrets = without_secrets(raw)
    assert with_secrets(config, secrets) == raw
    assert resealed(config, config, secrets) == (config, secrets)
    resealed(edit, config, secrets)


@pytest.mark.parametrize("spelling", ["secret", " Secret", "SECRET "])
def test_a_field_is_secret_however_its_type_is_spelt(spelling: str) -> None:
    raw = {"fields": [{"name": "pin", "type": spelling}], "global_values": {"pin": "X7"}}
    assert "X7" not in json.dumps(without_secrets(raw)[0])


SMTP = {"host": "a.example", "password": "X7"}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"host": "A.example"}, True),
        ({"username": "other"}, True),
        ({"port": 2525}, True),
        ({"host": "b.example"}, False),
        ({"host": ""}, False),
        ({"host": 7}, False),
        ({"security": "plain"}, False),
        ({"security": "odd"}, False),
    ],
)
def test_a_password_stays_with_its_server(change: dict[str, Any], kept: bool) -> None:
    config, secrets = without_secrets({"server": {"smtp": SMTP}})
    edit = {"server": {"smtp": {**config["server"]["smtp"], **change}}}
    after, left = resealed(edit, config, secrets)
    assert ("password" in after["server"]["smtp"]) is kept
    assert left == ({"/server/smtp/password": "X7"} if kept else {})


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("server", "imap"), "password"),
        (("attachments", "zip"), "password"),
        (("global_values",), "shown"),
        (("global_values",), "pin"),
        (("fields", 0), "default"),
        (("entries", "inline", 0, "values"), "pin"),
    ],
)
@pytest.mark.parametrize("mark", ["/server/smtp/password", "/fields/0/default", "/nowhere"])
def test_a_mark_goes_nowhere_but_to_its_like(
    path: tuple[str | int, ...], key: str, mark: str
) -> None:
    config, secrets = without_secrets(
        {
            "server": {"smtp": SMTP, "imap": {"host": "a.example"}},
            "fields": [{**SECRET_FIELD, "default": "D"}],
            "global_values": {},
            "attachments": {"zip": {}},
            "entries": {"inline": [{"values": {}}]},
        }
    )
    edit = copy.deepcopy(config)
    holder: Any = edit
    for step in path:
        holder = holder[step]
    holder[key] = f"secret:{mark}"
    after, left = resealed(edit, config, secrets)
    holder = after
    for step in path:
        holder = holder[step]
    stays = (path, mark) == (("fields", 0), "/fields/0/default")
    assert (key in holder) is stays
    assert left == {
        pointer: value
        for pointer, value in secrets.items()
        if stays or path != ("fields", 0) or pointer != "/fields/0/default"
    }


def test_a_mark_without_a_secret_here_stays_in_its_place() -> None:
    config = {"server": {"smtp": {"host": "a.example", "password": "secret:/server/smtp/password"}}}
    assert resealed(config, config, {}) == (config, {})
    moved = {"server": {"smtp": {**config["server"]["smtp"], "host": "b.example"}}}
    assert resealed(moved, config, {})[0] == {"server": {"smtp": {"host": "b.example"}}}


def test_secrets_follow_fields_and_entries_that_move() -> None:
    raw = {
        "fields": [{"name": "a"}, {**SECRET_FIELD, "default": "D"}],
        "entries": {"inline": [{"values": {"pin": "0"}}, {"values": {"pin": "1"}}]},
    }
    config, secrets = without_secrets(raw)
    edit = copy.deepcopy(config)
    edit["fields"].reverse()
    del edit["entries"]["inline"][0]
    after, left = resealed(edit, config, secrets)
    assert left == {"/fields/0/default": "D", "/entries/inline/0/values/pin": "1"}
    assert with_secrets(after, left) == {
        "fields": [{**SECRET_FIELD, "default": "D"}, {"name": "a"}],
        "entries": {"inline": [{"values": {"pin": "1"}}]},
    }


@pytest.mark.parametrize("kind", ["string", "integer", "secrets", "", None, ["secret"]])
@pytest.mark.parametrize("how", ["changed", "declared again", "declared before"])
def test_a_field_that_is_no_secret_any_more_loses_its_values(kind: Any, how: str) -> None:
    raw = {
        "fields": [SECRET_FIELD],
        "global_values": {"pin": "X7"},
        "entries": {"inline": [{"values": {"pin": "X8"}}]},
    }
    config, secrets = without_secrets(raw)
    other = {"name": "pin", "type": kind}
    fields = {
        "changed": [other],
        "declared again": [SECRET_FIELD, other],
        "declared before": [other, SECRET_FIELD],
    }[how]
    edit = {**config, "fields": fields}
    without = {"global_values": {}, "entries": {"inline": [{"values": {}}]}}
    assert resealed(edit, config, secrets) == ({**without, "fields": fields}, {})


def test_the_default_of_a_field_that_is_no_secret_any_more_is_lost() -> None:
    config, secrets = without_secrets({"fields": [{**SECRET_FIELD, "default": "X7"}]})
    edit = {"fields": [{**config["fields"][0], "type": "string"}]}
    assert resealed(edit, config, secrets) == ({"fields": [{"name": "pin", "type": "string"}]}, {})
