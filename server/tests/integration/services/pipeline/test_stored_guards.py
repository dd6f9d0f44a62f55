"""What only the database knows while a version is built: who got what, and what is allowed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from sqlalchemy import update

from app.access.actor import Actor
from app.db.models import CampaignVersion, Job, Tenant
from app.db.repositories import access
from app.mailer.domain.delivery.job import Decision, SendStatus
from app.mailer.domain.errors import CampaignInvalid, Conflict
from app.mailer.domain.issues import EntryState
from app.mailer.services.build_version import prepare_version
from tests.integration.services.pipeline.desk import NOW, document, entry
from tests.integration.services.pipeline.office import Office


def cards(campaign: str, mode: str = "send", **parts: Any) -> dict[str, Any]:
    """Everybody gets the card of their number, and the terms."""
    return document(
        **{
            "campaign": {"id": campaign, "name": f"The {campaign}", "mode": mode},
            "server": {"smtp": {"host": "localhost"}},
            "fields": [{"name": "number"}],
            "attachments": {
                "base_path": "files",
                "global": [{"file_filter": "${number}.pdf"}, {"file_filter": "terms.pdf"}],
            },
            "entries": {"inline": [entry(n, values={"number": str(n)}) for n in range(3)]},
            "delivery": {
                "imap_append_sent": {"enabled": False},
                "test_recipients": ["tester@example.org"],
            },
            **parts,
        }
    )


@pytest.fixture
def sent(office: Office) -> Office:
    """The campaign `first` went to e0 and e1 three days ago; e2 is not queued."""
    for name in ("0", "1", "2", "terms"):
        office.desk.put(f"files/{name}.pdf", f"%PDF of {name}")
    version_id = office.take(cards("first")).version_id
    office.build(version_id)
    mark(office, version_id, ["e0", "e1"])
    return office


def mark(office: Office, version_id: UUID, entries: list[str], **values: Any) -> None:
    moment = datetime.now(UTC) - timedelta(days=3)
    with office.sessions() as session:
        session.execute(
            update(Job)
            .where(Job.version_id == version_id, Job.entry_id.in_(entries))
            .values(
                **{
                    "send_status": SendStatus.SENT,
                    "sent_at": moment,
                    "queued_at": moment,
                    **values,
                }
            )
        )
        session.commit()


def warned(office: Office, campaign: dict[str, Any]) -> dict[str, EntryState]:
    """The entries that are told to repeat something, and their states."""
    version_id = office.take(campaign).version_id
    counts = office.build(version_id)
    jobs = office.jobs(version_id)
    for state in EntryState:
        assert counts[state.value] == sum(job.build_status is state for job in jobs)
    told = {i.entry_id for i in office.issues(version_id) if i.code == "already-sent"}
    return {job.entry_id: job.build_status for job in jobs if job.entry_id in told}


def test_a_personal_file_that_went_there_before_needs_a_second_look(sent: Office) -> None:
    review = EntryState.NEEDS_REVIEW
    assert warned(sent, cards("second")) == {"e0": review, "e1": review}


def test_it_says_which_file_to_whom_and_when(sent: Office) -> None:
    version_id = sent.take(cards("second")).version_id
    sent.build(version_id)
    found = [issue for issue in sent.issues(version_id) if issue.code == "already-sent"]
    day = datetime.now(UTC) - timedelta(days=3)
    assert found[0].message == (
        f"The file “0.pdf” went to p0@example.org on {day:%Y-%m-%d} already, in the campaign "
        "“The first”."
    )
    assert found[0].pointer == "/entries/inline/0"


def test_only_the_very_content_to_the_very_address_counts(sent: Office) -> None:
    sent.desk.put("files/0.pdf", "%PDF another")
    entries = [entry(n, values={"number": str(n)}) for n in range(3)]
    entries[1]["to"] = ["Somebody <P1@Example.org>"]
    assert set(warned(sent, cards("second", entries={"inline": entries}))) == {"e1"}
    entries[1]["to"] = ["somebody.else@example.org"]
    assert warned(sent, cards("third", entries={"inline": entries})) == {}


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (SendStatus.IN_DOUBT, True),
        (SendStatus.QUEUED, True),
        (SendStatus.FAILED, False),
        (SendStatus.CANCELLED, False),
    ],
)
def test_what_may_have_reached_them_counts(sent: Office, status: SendStatus, counts: bool) -> None:
    first = sent.take(cards("other")).version_id
    sent.build(first)
    mark(sent, first, ["e2"], send_status=status, sent_at=None)
    assert ("e2" in warned(sent, cards("second"))) is counts


def test_the_own_campaign_and_other_tenants_do_not_count(sent: Office) -> None:
    assert warned(sent, cards("first")) == {}
    with sent.sessions() as session:
        other = access.add_tenant(session, Tenant(slug="other", name="Other", created_at=NOW))
        session.commit()
        tenant_id = other.id
    sent.tenant_id = tenant_id
    sent.actor = Actor.system(tenant_id, "Eve", ["*"])
    assert warned(sent, cards("second")) == {}


def test_letters_of_a_test_count_in_neither_place(sent: Office) -> None:
    assert warned(sent, cards("second", mode="test")) == {}
    tried = sent.take(cards("tried", mode="test")).version_id
    sent.build(tried)
    mark(sent, tried, ["e2"])
    assert set(warned(sent, cards("third"))) == {"e0", "e1"}


@pytest.mark.parametrize(("days", "found"), [(4, {"e0", "e1"}), (2, set()), (0, set())])
def test_the_tenant_says_how_long_it_counts(sent: Office, days: int, found: set[str]) -> None:
    with sent.sessions() as session:
        session.execute(update(Tenant).values(already_sent_days=days))
        session.commit()
    assert set(warned(sent, cards("second"))) == found


def test_a_campaign_that_another_one_overtook_is_not_queued(sent: Office) -> None:
    """Both were built before either was queued."""
    one, two = (sent.take(cards(name, "send", entries=_only_e2())) for name in ("one", "two"))
    sent.build(one.version_id)
    sent.build(two.version_id)
    assert sent.queue(one.campaign_id).queued == 1
    (refusal,) = sent.queue(two.campaign_id, dry_run=True).would_be_refused
    assert "“2.pdf” to p2@example.org in the campaign “The one”" in refusal.detail
    with pytest.raises(Conflict, match="in the campaign “The one”"):
        sent.queue(two.campaign_id)
    assert sent.queue(one.campaign_id).already_queued == 1
    # The next build tells of it, and then a person decides.
    assert sent.build(two.version_id)["needs_review"] == 1
    assert sent.queue(two.campaign_id).needs_review == 1
    with sent.sessions() as session:
        session.execute(
            update(Job).where(Job.version_id == two.version_id).values(decision=Decision.ACCEPT)
        )
        session.commit()
    assert sent.queue(two.campaign_id).queued == 1


@pytest.mark.parametrize("effect", ["warn", "ignore"])
def test_a_campaign_may_say_that_it_repeats_others(sent: Office, effect: str) -> None:
    parts = {"entries": _only_e2(), "validation_policy": {"already_sent": effect}}
    one, two = (sent.take(cards(name, **parts)) for name in ("one", "two"))
    sent.build(one.version_id)
    sent.build(two.version_id)
    assert sent.queue(one.campaign_id).queued == sent.queue(two.campaign_id).queued == 1


def test_others_and_older_ones_overtake_nothing(sent: Office) -> None:
    entries = _only_e2()
    entries["inline"][0]["to"] = ["somebody.else@example.org"]
    for name, parts in (
        ("another address", {"entries": entries}),
        ("a test", {"mode": "test"}),
        ("one", {"entries": _only_e2()}),
    ):
        each = sent.take(cards(name.replace(" ", "-"), **parts))
        sent.build(each.version_id)
        assert sent.queue(each.campaign_id).queued


def test_of_two_that_are_queued_at_once_one_is(sent: Office) -> None:
    taken = [sent.take(cards(f"c{number}", entries=_only_e2())) for number in range(4)]
    for each in taken:
        sent.build(each.version_id)
    queued: list[int] = []
    refused: list[Conflict] = []
    start = threading.Barrier(len(taken))

    def queue(campaign_id: UUID) -> None:
        start.wait()
        try:
            queued.append(sent.queue(campaign_id).queued)
        except Conflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=queue, args=(each.campaign_id,)) for each in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (queued, len(refused)) == ([1], 3)


def _only_e2() -> dict[str, Any]:
    return {"inline": [entry(2, values={"number": "2"})]}


@pytest.mark.parametrize(
    ("effect", "state"),
    [
        ("block", EntryState.BLOCKED),
        ("warn", EntryState.WARNING),
        ("exclude", EntryState.EXCLUDED),
        ("ignore", None),
    ],
)
def test_the_campaign_says_what_it_does(
    sent: Office, effect: str, state: EntryState | None
) -> None:
    found = warned(sent, cards("second", validation_policy={"already_sent": effect}))
    assert found == ({} if state is None else {"e0": state, "e1": state})


def test_a_blocked_one_has_no_message(sent: Office) -> None:
    version_id = sent.take(cards("second", validation_policy={"already_sent": "block"})).version_id
    sent.build(version_id)
    first, _, last = sent.jobs(version_id)
    assert (first.sha256, first.size, first.message_id) == (None, None, None)
    assert sent.files(first) == []
    assert last.sha256 is not None


def test_files_within_an_archive_count(sent: Office) -> None:
    attachments = {
        "base_path": "files",
        "global": [{"file_filter": "${number}.pdf"}],
        "zip": {"enabled": True, "password": "x"},
    }
    assert set(warned(sent, cards("second", attachments=attachments))) == {"e0", "e1"}


def test_a_file_for_everybody_is_not_personal(sent: Office) -> None:
    version_id = sent.take(cards("second")).version_id
    sent.build(version_id)
    (job, *_) = sent.jobs(version_id)
    assert {(file.filename, file.is_personal) for file in sent.files(job)} == {
        ("0.pdf", True),
        ("terms.pdf", False),
    }


# ---------------------------------------------------------------- Jinja2


def jinja(**parts: Any) -> dict[str, Any]:
    return document(template={"subject": "Hi", "text": "{{ 1 + 1 }}", "engine": "jinja2"}, **parts)


def test_jinja_needs_the_administrators_yes(office: Office) -> None:
    version_id = office.take(jinja()).version_id
    prepared = prepare_version(office.workshop(), office.actor, version_id)
    assert [(issue.code, issue.pointer) for issue in prepared.issues] == [
        ("jinja-not-allowed", "/template/engine")
    ]
    assert prepared.letters == []
    with pytest.raises(CampaignInvalid, match="not allowed here"):
        office.build(version_id)
    with office.sessions() as session:
        session.execute(update(Tenant).values(jinja_allowed=True))
        session.commit()
    assert office.build(version_id)["ready"] == 1
    (job,) = office.jobs(version_id)
    assert b"\r\n2\r\n" in office.message(job)


# ---------------------------------------------------------------- rows of the source


def rows(office: Office, version_id: UUID) -> dict[str, list[str] | None]:
    with office.sessions() as session:
        found = session.query(Job.entry_id, Job.source_row).filter(Job.version_id == version_id)
        return {entry_id: row for entry_id, row in found}  # noqa: C416 - rows are not pairs to mypy


def columns(office: Office, version_id: UUID) -> list[str] | None:
    with office.sessions() as session:
        version = session.get(CampaignVersion, version_id)
        assert version is not None
        return version.source_columns


def test_the_row_that_an_entry_came_from_is_kept_without_secrets(office: Office) -> None:
    office.desk.put("p.csv", "E-Mail;Id;Pin;Note; Sum\na@example.org;1;geheim; x ;1,50\n;2\n")
    version_id = office.take(
        document(
            fields=[{"name": "pin", "type": "secret"}],
            recipients={"from": "o@example.org", "to": ["b@example.org"]},
            entries={"source": {"path": "p.csv"}, "inline": [entry(7)]},
        )
    ).version_id
    office.build(version_id)
    assert columns(office, version_id) == ["E-Mail", "Id", "Pin", "Note", "Sum"]
    found = rows(office, version_id)
    assert found["e7"] is None
    assert found["1"] == ["a@example.org", "1", "", " x ", "1,50"]
    assert found["2"] == ["", "2", "", "", ""]
    assert "geheim" not in office.everything()


def test_rows_of_a_group_come_one_after_the_other(office: Office) -> None:
    book = openpyxl.Workbook()
    for row in (
        ["House", "to", "Born", "Sum"],
        ["A", "a@example.org", 1999, 1.5],
        ["B", "b@example.org", 2001, 4711.0],
        ["A", "a@example.org", None, True],
    ):
        book.active.append(row)
    book.save(office.desk.folder / "p.xlsx")
    version_id = office.take(
        document(entries={"source": {"path": "p.xlsx", "group_by": "House"}})
    ).version_id
    office.build(version_id)
    first, second = (row for _, row in sorted(rows(office, version_id).items(), key=str))
    kept = sorted([first or [], second or []], key=len)
    assert kept[0] == ["B", "b@example.org", "2001", "4711"]
    assert kept[1][:4] == ["A", "a@example.org", "1999", "1.5"]
    assert kept[1][4:7] == ["A", "a@example.org", ""]


def test_a_nul_in_a_cell_does_not_stop_the_build(office: Office) -> None:
    office.desk.put("p.json", '[{"to": "a@example.org", "n": "a\\u0000b"}]')
    version_id = office.take(document(entries={"source": {"path": "p.json"}})).version_id
    office.build(version_id)
    (row,) = rows(office, version_id).values()
    assert row == ["a@example.org", "a\ufffdb"]


def test_what_a_letter_says_has_the_same_hash_in_every_build(office: Office) -> None:
    def hashes(text: str) -> tuple[set[str | None], set[str | None]]:
        version_id = office.take(document(template={"subject": "Hi", "text": text})).version_id
        office.build(version_id)
        with office.sessions() as session:
            found = session.query(Job.sha256, Job.content_sha256).filter(
                Job.version_id == version_id
            )
            (pair,) = found
            return {pair[0]}, {pair[1]}

    one, two, other = hashes("Good day."), hashes("Good day."), hashes("Good dax.")
    assert one[0] != two[0]
    assert one[1] == two[1] != {None}
    assert other[1] != one[1]
