"""The stored form of a campaign file: no secret, no path that depends on a folder, nothing lost."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.campaign.snapshot import with_absolute_paths, with_secrets, without_secrets

from .documents import complete, draft


def split(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    campaign, issues = read_shape_of(raw)
    assert campaign is not None, issues
    return without_secrets(raw, campaign)


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
    config, secrets = without_secrets(raw, campaign)
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
