"""Lists of jobs, one job, its issues and its tries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.db.models import Job
from app.mailer.domain.delivery.job import SendStatus
from tests.integration.api.conftest import Api
from tests.integration.api.letters import Letters, build, by
from tests.integration.services.pipeline.desk import entry
from tests.servers.smtp import KEEP_AND_DROP, SmtpServer


@pytest.fixture
def mixed(api: Api, tmp_path: Path) -> Letters:
    """e0 to e2 are ready, e3 is blocked; e4 and e5 share a personal file and need a review."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/Card_4.pdf").write_bytes(b"%PDF-four")
    (tmp_path / "files/all.txt").write_bytes(b"for all")
    entries = [entry(number, values={"n": number}) for number in range(3)]
    entries += [
        entry(3, to=["nobody"], values={"n": 3}),
        entry(4, to=["Änne Groß <a.gross@example.org>"], values={"n": 4}),
        entry(5, values={"n": 4}),
    ]
    return build(
        api,
        tmp_path,
        fields=[{"name": "n", "type": "integer"}],
        template={"subject": "Card 100% of ${local::n}", "text": "Hello."},
        attachments={
            "base_path": "files",
            "global": [{"file_filter": "all.txt"}],
        },
        entries={
            "inline": [
                each
                | (
                    {"attachments": [{"file_filter": "Card_${local::n}.pdf"}]}
                    if each["id"] in ("e4", "e5")
                    else {}
                )
                for each in entries
            ]
        },
    )


def test_a_row_says_what_it_is_about(mixed: Letters) -> None:
    page = mixed.get("jobs")
    rows = page["items"]
    assert [row["entry_id"] for row in rows] == [f"e{n}" for n in range(6)]
    assert [row["build_status"] for row in rows] == [
        *["ready"] * 3,
        "blocked",
        *["needs_review"] * 2,
    ]
    assert page["next_cursor"] is None
    ready, blocked, doubtful = rows[0], rows[3], rows[4]
    assert ready["allowed_actions"] == ["exclude"]
    assert (ready["attachment_count"], ready["attachments"][0]["filename"]) == (1, "all.txt")
    assert blocked["allowed_actions"] == []
    assert blocked["size"] is None
    assert blocked["issue_count"] == len(blocked["issues"]) == 2
    assert doubtful["allowed_actions"] == ["accept", "exclude"]
    assert [issue["code"] for issue in doubtful["issues"]] == ["shared-file"]
    assert doubtful["to"].startswith("Änne Groß")
    assert {each["is_personal"] for each in doubtful["attachments"]} == {True, False}


def test_actions_are_those_of_ones_scopes(mixed: Letters) -> None:
    reader = mixed.api.client("campaign:read").get(f"{mixed.url}/jobs").json()["items"]
    assert [row["allowed_actions"] for row in reader] == [[]] * 6
    approver = mixed.api.client("campaign:read", "campaign:approve")
    assert approver.get(f"{mixed.url}/jobs").json()["items"][4]["allowed_actions"] == [
        "accept",
        "exclude",
    ]


_FILTERED = [
    ("build_status=blocked", ["e3"]),
    ("build_status=blocked&build_status=needs_review", ["e3", "e4", "e5"]),
    ("undecided=true", ["e4", "e5"]),
    ("code=shared-file", ["e4", "e5"]),
    ("code=no-entries", []),
    ("send_status=sent", []),
    ("imap_status=not_requested&build_status=blocked", ["e3"]),
    ("decision=accept", []),
    ("search=E3", ["e3"]),
    ("search=GROSS", ["e4"]),
    ("search=änne", ["e4"]),
    ("search=P5@example", ["e5"]),
    ("search=100%25 of 4", ["e4", "e5"]),
    ("search=%25 of 2", ["e2"]),
    ("search=_", []),
    ("search=%2525", []),
    ("search=\\", []),
    ("search=%00", []),
]


def test_filters(mixed: Letters) -> None:
    assert {query: mixed.entries(query) for query, _ in _FILTERED} == dict(_FILTERED)


_UNKNOWN = [
    "build_status=green",
    "code=invented",
    "sort=config",
    "search=",
    "limit=0",
    "limit=501",
    "cursor=!",
    f"search={'x' * 201}",
    "version_id=x",
]


def test_what_no_list_knows_is_422(mixed: Letters) -> None:
    for query in _UNKNOWN:
        assert mixed.get(f"jobs?{query}", 422)["type"].startswith("/problems/"), query


_SORTS = (
    "position", "entry_id", "to", "size", "build_status", "send_status", "imap_status", "sent_at",
)  # fmt: skip


def test_every_order_comes_whole_in_pages(mixed: Letters) -> None:
    with mixed.api.program.sessions() as session:
        now = mixed.api.program.clock.now()
        some = Job.entry_id.in_(["e1", "e4"])
        session.execute(update(Job).where(some).values(sent_at=now, due_at=now, attempt_count=2))
        session.commit()
    for sort in (f"{sign}{name}" for name in _SORTS for sign in ("", "-")):
        whole = mixed.entries(f"sort={sort}")
        assert sorted(whole) == [f"e{n}" for n in range(6)], sort
        found, cursor = [], ""
        while cursor is not None:
            page = mixed.get(f"jobs?sort={sort}&limit=2{cursor}")
            found += [each["entry_id"] for each in page["items"]]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert found == whole, sort
    for name in _SORTS:
        assert mixed.entries(f"sort=-{name}") == mixed.entries(f"sort={name}")[::-1], name


def test_the_newest_version_unless_one_is_named(mixed: Letters, tmp_path: Path) -> None:
    newer = build(mixed.api, tmp_path, 2)
    assert newer.campaign_id == mixed.campaign_id
    assert mixed.entries() == ["e0", "e1"]
    assert len(mixed.entries(f"version_id={mixed.version_id}")) == 6
    mixed.get(f"jobs?version_id={uuid4()}", 404)


def test_one_job_has_everything(mixed: Letters) -> None:
    job = mixed.get(f"jobs/{mixed.job('e4')}")
    assert job["recipients"] == ["a.gross@example.org"]
    assert job["envelope_from"] == "office@example.org"
    headers = {each["name"]: each["value"] for each in job["headers"]}
    assert headers["Subject"] == "Card 100% of 4"
    assert headers["To"] == "Änne Groß <a.gross@example.org>"
    assert headers["Message-ID"] == job["message_id"]
    assert len(job["sha256"]) == 64
    assert (job["version_number"], job["campaign_id"]) == (1, str(mixed.campaign_id))
    assert len(job["attachments"]) == 2
    assert job["allowed_actions"] == ["accept", "exclude"]
    assert job["approval"] is None
    blocked = mixed.get(f"jobs/{mixed.job('e3')}")
    assert (blocked["headers"], blocked["sha256"]) == ([], None)


def test_its_issues(mixed: Letters) -> None:
    page = mixed.get(f"jobs/{mixed.job('e4')}/issues")
    (issue,) = page["items"]
    assert (issue["code"], issue["severity"]) == ("shared-file", "review")
    assert "e5" in issue["message"]
    assert mixed.get(f"jobs/{mixed.job('e0')}/issues")["items"] == []


def test_tries_to_send_and_to_file_with_what_was_said(
    api: Api, tmp_path: Path, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": ["451 4.3.0 later", "554 5.7.1 no such letters"]})
    letters = build(api, tmp_path, 2, **by(server.port))
    letters.post("queue")
    letters.send()
    (first, second) = letters.jobs()
    assert (first["send_status"], second["send_status"]) == ("deferred", "failed")
    assert second["last_code"] == 554
    assert second["allowed_actions"] == ["retry"]
    assert first["allowed_actions"] == ["cancel"]
    with api.program.sessions() as session:
        session.execute(update(Job).values(due_at=api.program.clock.now()))
        session.commit()
    letters.send()
    tries = letters.get(f"jobs/{first['id']}/attempts")["items"]
    assert [(each["kind"], each["number"], each["code"]) for each in tries] == [
        ("send", 1, 451),
        ("send", 2, 250),
    ]
    assert tries[0]["reply"] == "4.3.0 later"
    assert tries[1]["recipients"][0]["address"] == "p0@example.org"
    assert letters.get(f"jobs/{first['id']}/attempts?sort=-began_at")["items"] == tries[::-1]
    page = letters.get(f"jobs/{first['id']}/attempts?limit=1")
    assert page["items"] == tries[:1]
    rest = letters.get(f"jobs/{first['id']}/attempts?cursor={page['next_cursor']}")
    assert (rest["items"], rest["next_cursor"]) == (tries[1:], None)


def test_what_is_in_doubt_can_be_settled_unless_another_version_has_it(
    api: Api, tmp_path: Path, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [KEEP_AND_DROP]})
    first = build(api, tmp_path, 1, **by(server.port))
    first.post("queue")
    first.send()
    (row,) = first.jobs()
    assert row["send_status"] == "in_doubt"
    assert row["allowed_actions"] == ["assume_sent", "resend"]
    second = build(api, tmp_path, 1, **by(server.port))
    with api.program.sessions() as session:
        session.execute(
            update(Job)
            .where(Job.version_id == second.version_id)
            .values(send_status=SendStatus.SENT)
        )
        session.commit()
    (row,) = first.jobs(f"version_id={first.version_id}")
    assert row["allowed_actions"] == ["assume_sent"]


def test_jobs_of_others_are_not_there(mixed: Letters) -> None:
    for path in ("", "/issues", "/attempts", "/preview", "/message.eml"):
        url = f"{mixed.url}/jobs/{mixed.job('e0')}{path}"
        assert mixed.api.acme.get(url).status_code == 200
        assert mixed.api.rival.get(url).status_code == 404
        mixed.get(f"jobs/{uuid4()}{path}", 404)
        other = url.replace(str(mixed.campaign_id), str(uuid4()))
        assert mixed.api.acme.get(other).status_code == 404


def test_a_list_of_another_tenants_campaign_is_404(mixed: Letters) -> None:
    assert mixed.api.rival.get(f"{mixed.url}/jobs").status_code == 404
