"""The first commands that a user types, word for word: what each said, and what it left."""

from __future__ import annotations

import csv
import email
import email.policy
import hashlib
import io
import json
from collections import Counter
from email.message import EmailMessage

import jsonschema
import pytest
import pyzipper

from tests.e2e.seed_story import Story, tell
from tests.servers.certificates import Certificates
from tests.servers.dovecot import DovecotServer

# The story is told in the first test that asks for it.
pytestmark = pytest.mark.timeout(300)

_STATES = {
    "inactive": 1,
    "excluded": 1,
    "blocked": 1,
    "needs_review": 3,
    "warning": 1,
    "ready": 5,
}
#: What leaves: the ready ones, the one with a warning, and the two that are accepted below.
_SENT = {
    "0007": ["anna.weissenbach@example.org"],
    "0012": ["joerg.mueller@example.org"],
    "0023": ["thora@example.org"],
    "0038": ["claudia@xn--khler-jua.example.org"],
    "0041": ["francois.lefevre@example.org"],
    "0056": ["ilse.schaefer@example.org", "bernd.schaefer@example.org"],
    "0074": ["familie.brandt@example.org"],
    "0075": ["familie.brandt@example.org"],
}
_ENCRYPTED = {"0012", "0023", "0041"}
_ARCHIVE = "archiv@example.org"
_TESTER = "your.test.address@example.org"


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, dovecot: DovecotServer
) -> Story:
    return tell(tmp_path_factory.mktemp("story"), certificates, dovecot)


def _parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _files(message: EmailMessage) -> dict[str, bytes]:
    return {
        part.get_filename() or "": part.get_payload(decode=True)
        for part in message.iter_attachments()
    }


def _passwords(story: Story) -> dict[str, str]:
    table = (story.server / "app/mailer/examples/members.csv").read_bytes().decode("cp1252")
    rows = csv.DictReader(io.StringIO(table, newline=""), delimiter=";")
    return {row["Mitgliedsnr."]: row["Kennwort"] for row in rows if row["Kennwort"]}


def _number(message: EmailMessage) -> str:
    return str(message["Subject"]).rpartition(" ")[2]


# -- exit codes and words


def test_every_command_ends_with_the_exit_code_of_its_outcome(story: Story) -> None:
    looks = {"resolve", "resolve json", "build", "build json", "validate", "validate files"}
    findings = looks | {"import", "send three"}
    wrong = {
        name: str(done)
        for name, done in story.done.items()
        if done.code != (1 if name in findings else 0)
    }
    assert not wrong, "\n\n".join(f"{name}: {text}" for name, text in wrong.items())


def test_no_command_complains_on_standard_error(story: Story) -> None:
    assert {name: done.err for name, done in story.done.items() if done.err} == {}


def test_no_secret_shows_anywhere(story: Story) -> None:
    passwords = _passwords(story).values()
    assert len(passwords) == 3
    for name, done in story.done.items():
        for password in passwords:
            assert password not in done.out + done.err, name


# -- from the file


_ISSUE = {
    "type": "object",
    "required": ["code", "severity", "pointer", "message"],
    "properties": {
        "code": {"pattern": "^[a-z]+(-[a-z0-9]+)*$"},
        "severity": {"enum": ["block", "exclude", "review", "warn", "ignore"]},
    },
}
_PREPARED = {
    "type": "object",
    "required": ["campaign", "summary", "issues", "entries"],
    "additionalProperties": False,
    "properties": {
        "campaign": {
            "const": {
                "id": "contribution-2026",
                "name": "Contribution statements 2026",
                "version": "1.0",
            }
        },
        "summary": {"const": _STATES},
        "issues": {"type": "array", "items": _ISSUE},
        "entries": {
            "type": "array",
            "minItems": 12,
            "maxItems": 12,
            "items": {
                "type": "object",
                "required": ["id", "status", "to", "issues"],
                "properties": {
                    "status": {"enum": list(_STATES)},
                    "to": {"type": "array", "items": {"type": "string", "pattern": "^.+@.+$"}},
                    "issues": {"type": "array", "items": _ISSUE},
                    "attachments": {
                        "type": "array",
                        "items": {"required": ["rule", "path", "filename", "size"]},
                    },
                    "sha256": {"pattern": "^[0-9a-f]{64}$"},
                    "message_id": {"pattern": "^<[^@ ]+@example.org>$"},
                },
            },
        },
    },
}


@pytest.mark.parametrize("name", ["resolve json", "build json", "validate files"])
def test_json_is_one_object_of_the_promised_form(story: Story, name: str) -> None:
    jsonschema.validate(story.done[name].json, _PREPARED)


def test_resolving_shows_who_gets_what(story: Story) -> None:
    entries = {entry["id"]: entry for entry in story.done["resolve json"].json["entries"]}
    assert [file["path"] for file in entries["0041"]["attachments"]] == [
        "statements/2026/0041_Lefèvre_François.pdf",
        "Satzung.pdf",
    ]
    assert "Beitragsbescheinigung 2026 Lefèvre.pdf" in story.done["resolve"].out
    assert "0140_Neumann_Paul.pdf" in story.done["resolve"].out  # the file that nobody takes


def test_validating_without_looking_at_files_says_so(story: Story) -> None:
    assert "--check-files" in story.done["validate"].out


def test_building_writes_a_letter_for_each_entry_that_could_leave(story: Story) -> None:
    folder = story.server / "build/messages"
    built = [e["id"] for e in story.done["build json"].json["entries"] if "sha256" in e]
    names = sorted(path.name for path in folder.glob("*.eml"))
    assert [name.partition("-")[2].removesuffix(".eml") for name in names] == built
    assert {"0104", "0093", "0088"}.isdisjoint(built)
    letter = _parsed((folder / names[0]).read_bytes())
    assert letter["To"] == _SENT["0007"][0]
    assert letter["Bcc"] is None
    assert set(_files(letter)) == {"Beitragsbescheinigung 2026 Weißenbach.pdf", "Satzung.pdf"}


def test_building_without_a_folder_writes_nothing(story: Story) -> None:
    written = {path.name for path in (story.server / "build").iterdir()}
    assert written == {"messages", "test-message.eml", "campaign-jobs.csv"}


def test_the_test_letter_goes_to_the_tester_alone(story: Story) -> None:
    (trial,) = story.trials
    assert trial.recipients == (_TESTER,)
    assert trial.user == "user@example.org"
    assert trial.tls
    for data in (trial.data, (story.server / "build/test-message.eml").read_bytes()):
        message = _parsed(data)
        assert message["To"] == _TESTER
        assert message["Cc"] is None
        assert message["Bcc"] is None
        assert _SENT["0007"][0].encode() not in data
        assert _ARCHIVE.encode() not in data


# -- the letters that left


def test_importing_makes_one_version_and_counts_its_letters(story: Story) -> None:
    (campaign,) = story.done["list json"].json["campaigns"]
    assert campaign["external_id"] == "contribution-2026"
    assert campaign["version"] == 1
    assert campaign["workflow_state"] == "built"
    assert campaign["build"] == _STATES
    assert story.campaign_id in story.done["list"].out
    assert story.campaign_id in story.done["import"].out


def test_what_needs_a_decision_is_listed_and_decided(story: Story) -> None:
    listed = story.done["review"].json
    assert {each["entry_id"] for each in listed["reviews"]} == {"0061", "0074", "0075"}
    assert listed["undecided"] == 3
    assert "0074, 0075" in story.done["accept"].out


def test_a_dry_run_of_queueing_counts_and_changes_nothing(story: Story) -> None:
    dry = story.done["queue dry"].json
    assert (dry["dry_run"], dry["queued"], dry["warnings_left_out"]) == (True, 7, 1)
    assert story.done["queue"].out.startswith("8 letters of version 1 are queued")


def test_queueing_twice_queues_nothing_more(story: Story) -> None:
    assert story.done["queue again"].out.startswith("0 letters")


def test_a_dry_run_of_sending_proves_the_bytes_and_sends_nothing(story: Story) -> None:
    assert story.done["send dry"].out.startswith("8 of 8 letters that are due would be sent")
    assert story.before_sending == 0


def test_a_limit_sends_so_many_and_says_what_waits(story: Story) -> None:
    three = story.done["send three"].json
    assert three["outcomes"] == {"sent": 3}
    assert three["waiting"] == 5
    assert story.after_three == 3


def test_every_recipient_gets_exactly_one_letter(story: Story) -> None:
    assert not story.violations
    assert {_number(_parsed(each.data)): list(each.recipients) for each in story.letters} == {
        number: [*people, _ARCHIVE] for number, people in _SENT.items()
    }
    assert len(story.letters) == len(_SENT)


def test_nobody_sees_the_blind_copy(story: Story) -> None:
    for each in story.letters:
        assert _parsed(each.data)["Bcc"] is None
        assert _ARCHIVE.encode() not in each.data


def test_every_letter_has_its_own_files_and_no_others(story: Story) -> None:
    examples = story.server / "app/mailer/examples/files"
    statutes = (examples / "Satzung.pdf").read_bytes()
    for each in story.letters:
        message = _parsed(each.data)
        number = _number(message)
        files = _files(message)
        if number in _ENCRYPTED:
            ((name, data),) = files.items()
            assert name == f"Unterlagen {number}.zip"
            with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
                archive.setpassword(_passwords(story)[number].encode())
                files = {inner: archive.read(inner) for inner in archive.namelist()}
        (statement,) = (examples / "statements/2026").glob(f"{number}_*.pdf")
        assert len(files) == 2
        assert set(files.values()) == {statement.read_bytes(), statutes}


def test_the_letter_is_personal_in_text_and_html(story: Story) -> None:
    letters = {_number(m): m for m in (_parsed(each.data) for each in story.letters)}
    for kind in ("plain", "html"):
        body = letters["0023"].get_body((kind,))
        assert body is not None
        text = body.get_content()
        assert "Jónsdóttir" in text
        assert "${" not in text


# -- the copies


def test_a_dry_run_of_filing_counts_and_files_nothing(story: Story) -> None:
    assert story.done["append dry"].out.startswith("3 copies would be filed")
    assert story.filed_dry == 0
    assert "3 appended in Gesendet" in story.done["append"].out


def test_each_letter_is_filed_once_with_its_blind_copy(story: Story) -> None:
    assert "8 sent" not in story.done["send"].out
    assert "5 sent" in story.done["send"].out
    filed = [_parsed(data) for data in story.filed]
    assert Counter(m["Message-ID"] for m in filed) == Counter(
        _parsed(each.data)["Message-ID"] for each in story.letters
    )
    assert all(_ARCHIVE in str(message["Bcc"]) for message in filed)
    sent = {_number(_parsed(each.data)): _files(_parsed(each.data)) for each in story.letters}
    assert {_number(message): _files(message) for message in filed} == sent


# -- reports


def test_the_report_counts_what_happened(story: Story) -> None:
    report = story.done["report json"].json
    assert report["build"] == _STATES
    assert {state: n for state, n in report["send"].items() if n} == {"unqueued": 4, "sent": 8}
    assert {state: n for state, n in report["imap"].items() if n} == {
        "not_requested": 4,
        "appended": 8,
    }
    assert report["campaign"]["workflow_state"] == "completed"
    hashes = {job["entry_id"]: job["sha256"] for job in report["jobs"]}
    for each in story.letters:
        number = _number(_parsed(each.data))
        assert hashes[number] == hashlib.sha256(each.data).hexdigest()
    assert "8 sent" in story.done["report"].out


def test_the_jobs_are_written_as_csv(story: Story) -> None:
    data = (story.server / "build/campaign-jobs.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["entry_id"].lstrip("'") for row in rows if row["send_status"] == "sent"] == list(
        _SENT
    )
    assert len(rows) == 12


def test_the_report_is_mailed_with_its_tables(story: Story) -> None:
    (report,) = story.reports
    assert report.recipients == ("recipient@example.org",)
    message = _parsed(report.data)
    assert message["From"].addresses[0].addr_spec == "kasse@example.org"
    table, document = _files(message).values()
    written = (story.server / "build/campaign-jobs.csv").read_bytes()
    assert table.splitlines() == written.splitlines()
    assert json.loads(document)["send"]["sent"] == 8


def test_the_audit_log_tells_the_story(story: Story) -> None:
    entries = story.done["audit json"].json["entries"]
    assert [entry["action"] for entry in reversed(entries)] == [
        "account.created",
        "campaign.imported",
        "campaign.validated",
        "campaign.built",
        "job.accepted",
        "campaign.queued",
        "campaign.queued",
        "campaign.sent",
        "campaign.sent_copies_appended",
        "campaign.sent",
        "campaign.sent_copies_appended",
        "report.email_dry_run",
        "report.emailed",
    ]
    assert entries[0]["actor"]["name"] == "Development key"
    assert "One household, two members" in story.done["audit"].out
