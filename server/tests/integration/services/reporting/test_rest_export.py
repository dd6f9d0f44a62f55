"""The rest of a campaign is a source again, and nobody in it could get the letter twice."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.access.scopes import Scope
from app.db.models import Job
from app.db.session import reading
from app.mailer.domain.delivery.job import Decision, SendStatus
from app.mailer.domain.errors import AccessDenied, NotFound
from app.mailer.domain.report import csv_lines
from app.mailer.domain.rest import Rest
from app.mailer.services.rest_export import USUAL, rest_rows
from tests.integration.services.sending.house import House, letter

TABLE = """\
Nr;E-Mail;First name;PIN;Remark
1;ada@example.org;Ada;1111;"a ""quoted"" one; with a semicolon"
2;bob@example.org;Bob;2222;
3;cy@example.org;Cy;3333;two
4;dee@example.org;Dee;4444;lines
5;"eve@example.org;ev@example.org";Eve;5555;x
6;fay@example.org;Fay;6666;x
7;;Gus;7777;nobody
"""
FIELDS = [
    {"name": "name", "label": "First name"},
    {"name": "pin", "label": "PIN", "type": "secret"},
]


def document(table: str, **parts: Any) -> dict[str, Any]:
    source = {"path": table, "mapping": {"id": "Nr"}}
    return letter(
        1,
        fields=FIELDS,
        entries={"source": source, **parts.pop("entries", {})},
        template={"subject": "Hello ${local::name}", "text": "Hello ${local::name}"},
        **parts,
    )


def change(house: House, version_id: UUID, entry_ids: Iterable[str], **values: object) -> None:
    with house.sessions() as session:
        session.execute(
            update(Job)
            .where(Job.version_id == version_id, Job.entry_id.in_(list(entry_ids)))
            .values(**values)
        )
        session.commit()


def rest(
    house: House, campaign_id: UUID, version_id: UUID | None = None, wanted: Iterable[Rest] = USUAL
) -> tuple[list[str], list[list[str]]]:
    with reading(house.sessions.kw["bind"])() as session:
        found = rest_rows(
            session, house.actor, campaign_id, version_id=version_id, wanted=frozenset(wanted)
        )
        return list(found.header), [list(row) for row in found.rows]


def letters(house: House, version_id: UUID) -> dict[str, tuple[str, list[str], str]]:
    with house.sessions() as session:
        jobs = session.scalars(select(Job).where(Job.version_id == version_id))
        return {job.entry_id: (job.to_display, job.recipients, job.subject) for job in jobs}


def test_the_rest_has_the_columns_and_rows_of_the_table(house: House) -> None:
    (house.folder / "members.csv").write_text(TABLE, "utf-8")
    version = house.build(document("members.csv"))
    for entry, status in (
        ("1", SendStatus.FAILED),
        ("2", SendStatus.SENT),
        ("3", SendStatus.IN_DOUBT),
        ("4", SendStatus.QUEUED),
        ("5", SendStatus.CANCELLED),
    ):
        change(house, version.version_id, [entry], send_status=status)
    header, rows = rest(house, version.campaign_id)
    assert header == ["Nr", "E-Mail", "First name", "PIN", "Remark"]
    assert rows == [
        ["1", "ada@example.org", "Ada", "", 'a "quoted" one; with a semicolon'],
        ["5", "eve@example.org;ev@example.org", "Eve", "", "x"],
        ["6", "fay@example.org", "Fay", "", "x"],
        ["7", "", "Gus", "", "nobody"],
    ]
    assert [row[0] for row in rest(house, version.campaign_id, wanted=[Rest.FAILED])[1]] == ["1"]


def test_the_rest_is_a_source_that_makes_the_same_letters(house: House) -> None:
    (house.folder / "members.csv").write_text(TABLE, "utf-8")
    first = house.build(document("members.csv"))
    header, rows = rest(house, first.campaign_id)
    assert len(rows) == 7
    text = "".join(csv_lines(header, rows, bom=True))
    assert text == "".join(csv_lines(header, rows, bom=True, guarded=False))
    (house.folder / "rest.csv").write_text(text, "utf-8", newline="")
    again = house.build(document("rest.csv", campaign={"id": "b", "name": "B", "mode": "send"}))
    assert letters(house, again.version_id) == letters(house, first.version_id)


def test_a_formula_is_guarded_unless_it_is_to_be_a_source(house: House) -> None:
    (house.folder / "members.csv").write_text(
        "Nr;E-Mail;First name;PIN;Remark\n1;a@example.org;=1+1;1;+49 30 1\n", "utf-8"
    )
    version = house.build(document("members.csv"))
    header, rows = rest(house, version.campaign_id)
    safe = list(csv.reader(io.StringIO("".join(csv_lines(header, rows)))))
    assert safe[1][2:] == ["'=1+1", "", "'+49 30 1"]
    plain = "".join(csv_lines(header, rows, guarded=False))
    (house.folder / "rest.csv").write_text(plain, "utf-8", newline="")
    again = house.build(document("rest.csv", campaign={"id": "b", "name": "B", "mode": "send"}))
    assert letters(house, again.version_id) == letters(house, version.version_id)


def test_grouped_rows_stay_rows(house: House) -> None:
    table = "House;E-Mail;First name;PIN;Nr\nA;a@x.org;Ada;;1\nB;b@x.org;Bo;;2\nA;a@x.org;Ada;;1\n"
    (house.folder / "members.csv").write_text(table, "utf-8")
    grouped = document("members.csv")
    grouped["entries"]["source"]["group_by"] = "House"
    version = house.build(grouped)
    _, rows = rest(house, version.campaign_id)
    assert [row[0] for row in rows] == ["A", "A", "B"]


def test_entries_of_the_file_itself_become_a_table(house: House) -> None:
    inline = [
        {"id": "e1", "to": ["Ada <ada@example.org>"], "values": {"name": "Ada", "pin": "canary"}},
        {
            "id": "e2",
            "to": [{"name": "Bo; Ltd", "email": "bob@example.org"}, "cy@example.org"],
            "cc": ["boss@example.org"],
            "values": {"name": "=Bob", "pin": "canary"},
        },
        {"to": ["eve@example.org"], "values": {"name": "Eve", "pin": "canary"}},
        {"id": "e4", "active": False, "to": ["x@example.org"], "values": {"pin": "canary"}},
    ]
    first = house.build(
        letter(1, fields=FIELDS, entries={"inline": inline}, template={
            "subject": "Hello ${local::name}", "text": "Hello",
        })
    )  # fmt: skip
    header, rows = rest(house, first.campaign_id, wanted=Rest)
    assert header == ["id", "to", "cc", "active", "name", "pin"]
    assert rows[0] == ["e1", "Ada <ada@example.org>", "", "true", "Ada", ""]
    assert rows[1][1:3] == [
        '"Bo; Ltd" <bob@example.org>; cy@example.org',
        "boss@example.org",
    ]
    assert rows[3][3] == "false"
    assert "canary" not in str(rows)
    assert len(rest(house, first.campaign_id)[1]) == 3
    text = "".join(csv_lines(header, rows, guarded=False))
    (house.folder / "rest.csv").write_text(text, "utf-8", newline="")
    again = house.build(
        letter(
            1,
            campaign={"id": "b", "name": "B", "mode": "send"},
            fields=FIELDS,
            entries={"source": {"path": "rest.csv"}},
            template={"subject": "Hello ${local::name}", "text": "Hello"},
        )
    )
    assert letters(house, again.version_id) == letters(house, first.version_id)


def test_entries_of_both_kinds_share_the_table(house: House) -> None:
    (house.folder / "members.csv").write_text(TABLE, "utf-8")
    inline = [{"id": "i1", "to": ["ian@example.org"], "values": {"name": "Ian", "pin": "canary"}}]
    version = house.build(document("members.csv", entries={"inline": inline}))
    _, rows = rest(house, version.campaign_id)
    assert rows[-1] == ["i1", "ian@example.org", "Ian", "", ""]


def test_whom_another_version_reached_is_not_in_the_rest(house: House) -> None:
    first = house.build(letter(1, 3))
    second = house.build(letter(1, 3))
    change(house, first.version_id, ["e0"], send_status=SendStatus.FAILED)
    change(house, first.version_id, ["e1"], send_status=SendStatus.SENT)
    change(house, second.version_id, ["e0"], send_status=SendStatus.IN_DOUBT)
    change(house, second.version_id, ["e1"], send_status=SendStatus.FAILED)
    assert [row[0] for row in rest(house, first.campaign_id, first.version_id)[1]] == ["e2"]
    assert [row[0] for row in rest(house, first.campaign_id)[1]] == ["e2"]


def test_who_was_left_out_on_purpose_is_not_in_the_rest(house: House) -> None:
    version = house.build(letter(1, 3))
    change(house, version.version_id, ["e1"], decision=Decision.EXCLUDE)
    assert [row[0] for row in rest(house, version.campaign_id)[1]] == ["e0", "e2"]
    only = rest(house, version.campaign_id, wanted=[Rest.LEFT_OUT])[1]
    assert [row[0] for row in only] == ["e1"]


def test_scope_and_tenant(house: House) -> None:
    version = house.build(letter(1, 1))
    blind = house.actor.system(house.actor.tenant_id, "Bob", [Scope.AUDIT_READ])
    with reading(house.sessions.kw["bind"])() as session:
        with pytest.raises(AccessDenied, match="campaign:read"):
            rest_rows(session, blind, version.campaign_id, version_id=None)
        with pytest.raises(NotFound):
            rest_rows(session, house.actor, UUID(int=1), version_id=None)
