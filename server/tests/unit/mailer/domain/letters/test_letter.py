from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.mailer.domain.entries.entry import Entry
from app.mailer.domain.letters.check import check_letter
from app.mailer.domain.letters.letter import (
    archive_terms,
    compose,
    shown_subject,
    wants_archive,
)
from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.message import Attached, Draft, InlineImage

from .making import compiled

FIELDS = [
    {"name": "name"},
    {"name": "pin", "type": "secret"},
    {"name": "zip", "type": "boolean"},
    {"name": "all", "type": "boolean", "scope": "both"},
]


def entry(**values: str) -> Entry:
    whole = {"name": "", "pin": "", "zip": "", "all": "", **values}
    return Entry("a", "/entries/inline/0", to=("ada@example.org",), values=whole, rows=(whole,))


def composed(given: Entry, **parts: Any) -> Draft:
    campaign = compiled(fields=FIELDS, **parts)
    return compose(
        campaign,
        check_letter(campaign, given),
        date=datetime(2026, 1, 1, tzinfo=UTC),
        message_id="<x@example.org>",
        images=[InlineImage("logo", "logo.png", "image/png", BlobRef("0" * 64, 1))],
        attachments=[Attached("a.pdf", "application/pdf", BlobRef("1" * 64, 1))],
    )


def test_every_part_is_filled_in() -> None:
    draft = composed(
        entry(name="<Ada>"),
        template={"subject": "S ${name}", "text": "T ${name}", "html": "H ${name}"},
        delivery={"headers": {"X-A": "A ${name}"}},
    )
    assert (draft.subject, draft.text, draft.html) == ("S <Ada>", "T <Ada>", "H &lt;Ada&gt;")
    assert draft.headers == (("X-A", "A <Ada>"),)
    assert [box.address for box in draft.to] == ["ada@example.org"]
    assert len(draft.inline_images) == len(draft.attachments) == 1


def test_without_html_there_are_no_inline_images() -> None:
    assert composed(entry()).inline_images == ()


def test_what_a_policy_lets_pass_is_one_line_all_the_same() -> None:
    draft = composed(
        entry(name="a\r\nBcc: x\0y"),
        template={"subject": "${name}", "text": "x"},
        delivery={"headers": {"X-A": "${name}"}},
        validation_policy={"header_injection": "review"},
    )
    assert draft.subject == "a  Bcc: x y"
    assert draft.headers == (("X-A", "a  Bcc: x y"),)


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ({"subject": "PIN ${pin} for ${name}"}, "PIN ••• for Ada"),
        ({"engine": "jinja2", "subject": "PIN {{ local.pin }}"}, "PIN •••"),
        ({"engine": "jinja2", "subject": "{{ rows[0].pin }}"}, "•••"),
        ({"engine": "jinja2", "subject": "{% set x = local %}{{ x.pin }}"}, "•••"),
        ({"subject": "For ${name}"}, "For Ada"),
        ({"text": "x"}, ""),
    ],
)
def test_a_secret_in_a_subject_is_masked_in_lists(template: dict[str, Any], shown: str) -> None:
    campaign = compiled(fields=FIELDS, template=template)
    assert shown_subject(campaign, entry(pin="hunter2", name="Ada")) == shown


def test_a_subject_that_fails_shows_as_nothing() -> None:
    template = {"engine": "jinja2", "subject": "{{ 1 / 0 }}"}
    assert shown_subject(compiled(template=template), entry()) == ""


@pytest.mark.parametrize(
    ("zip_", "values", "wanted"),
    [
        ({}, {}, False),
        ({"enabled": True}, {}, True),
        ({"enabled": True, "only_if": "zip"}, {"zip": "ja"}, True),
        ({"enabled": True, "only_if": "zip"}, {"zip": "nein"}, False),
        ({"enabled": True, "only_if": "zip"}, {}, False),
        ({"enabled": True, "only_if": "all"}, {}, True),
        ({"enabled": True, "only_if": "all"}, {"all": "no"}, False),
    ],
)
def test_who_gets_an_archive(zip_: dict[str, Any], values: dict[str, str], wanted: bool) -> None:
    campaign = compiled(fields=FIELDS, global_values={"all": True}, attachments={"zip": zip_})
    assert wants_archive(campaign, entry(**values)) == wanted


def test_an_archives_name_and_password() -> None:
    campaign = compiled(
        fields=FIELDS,
        attachments={"zip": {"enabled": True, "filename": "${name}.zip", "password": "p-${pin}"}},
    )
    assert archive_terms(campaign, entry(name="Ada", pin="7")) == ("Ada.zip", "p-7")
    plain = compiled(attachments={"zip": {"enabled": True}})
    assert archive_terms(plain, entry()) == ("attachments.zip", None)
