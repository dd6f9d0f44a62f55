"""The first requests that a user types, word for word, by curl and by requests."""

from __future__ import annotations

import csv
import io
import shutil

import pytest

from tests.e2e.seed_api import Story, tell
from tests.servers.postgres import PostgresServer

# The story is told in the first test that asks for it.
pytestmark = pytest.mark.timeout(300)

_EXTERNAL = "contribution-2026"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def story(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
) -> Story:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = tmp_path_factory.mktemp("api")
    # SQLite is the default when DATABASE_URL is not set: an empty variable counts as unset.
    url = "" if request.param == "sqlite" else postgres.new_database(migrated=False)
    return tell(folder, url)


def test_every_request_is_answered_with_the_status_of_its_outcome(story: Story) -> None:
    # Nothing was sent, so there is no copy to file.
    made, begun = {"create", "new", "key"}, {"validate", "build"}
    wrong = {
        name: (answer.status, answer.text[:500])
        for name, answer in story.answers.items()
        if answer.status != (201 if name in made else 202 if name in begun else 200)
    }
    assert wrong == {}


def test_the_service_complains_of_nothing(story: Story) -> None:
    assert "ERROR" not in story.log
    assert "Traceback" not in story.log


def test_campaigns_are_made_and_listed(story: Story) -> None:
    assert story.answers["health"].json == {"status": "ok"}
    assert story.answers["list none"].json["items"] == []
    (listed,) = story.answers["list"].json["items"]
    assert listed["external_id"] == _EXTERNAL
    assert listed["id"] == story.answers["create"].json["campaign"]["id"]
    for name in ("list as user", "list by bearer key"):
        found = {each["external_id"] for each in story.answers[name].json["items"]}
        assert found == {_EXTERNAL, "my-new-campaign"}


def test_no_secret_of_the_file_is_shown(story: Story) -> None:
    assert "nordurljos" not in "".join(each.text for each in story.answers.values())
    imap = story.answers["version"].json["config"].get("server", {}).get("imap", {})
    assert imap.get("password") != "secret"


def test_a_draft_is_saved_and_partly_checked(story: Story) -> None:
    new = story.answers["new"].json
    assert new["campaign"]["name"] == "My New Campaign"
    assert new["campaign"]["description"] == "Created from the WebUI wizard"
    assert (new["version"]["current_flow"], new["version"]["current_step"]) == ("create", "basics")
    assert new["version"]["workflow_state"] == "editing"
    assert story.answers["autosave"].json["current_step"] == "recipients"
    assert story.answers["autosave"].json["is_complete"] is False
    assert story.answers["set step"].json["current_step"] == "sender"
    assert {each["code"] for each in story.answers["validate partial"].json["issues"]}


def test_the_version_is_built_into_its_letters(story: Story) -> None:
    for name in ("validate", "build"):
        assert story.operations[name]["status"] == "succeeded", story.operations[name]
    jobs = story.answers["jobs"].json["items"]
    assert len(jobs) == 12
    states = [job["build_status"] for job in jobs]
    assert states.count("ready") == 5
    assert states.count("needs_review") == 3


def test_the_queue_takes_what_the_review_lets_through(story: Story) -> None:
    report = story.answers["report"].json
    assert report["send"]["queued"] == 6
    rows = list(csv.DictReader(io.StringIO(story.answers["jobs csv"].text)))
    assert [row["send_status"] for row in rows].count("queued") == 6


def test_the_report_would_be_mailed(story: Story) -> None:
    assert story.answers["email"].json["dry_run"] is True


def test_the_audit_log_tells_the_story(story: Story) -> None:
    entries = story.answers["audit"].json["items"]
    actions = {entry["action"] for entry in entries}
    assert {"campaign.imported", "campaign.validated", "campaign.built"} <= actions
    assert all(entry["actor"]["address"] == "127.0.0.1" for entry in entries)
    filtered = story.answers["audit filtered"].json["items"]
    assert {entry["action"] for entry in filtered} == {"campaign.queued"}


def test_a_key_is_made_and_shown_once(story: Story) -> None:
    key = story.answers["key"].json
    assert key["scopes"] == ["campaign:read"]
    shown = [name for name, each in story.answers.items() if key["api_key"] in each.text]
    assert shown == ["key"]
