"""Results that cannot be written where they should go: said, and nothing half written."""

from __future__ import annotations

import os

import pytest

from tests.e2e.desk import Desk, letter


@pytest.mark.parametrize("output", ["closed", "closed/inner", "campaign.json", "campaign.json/x"])
def test_an_output_folder_that_cannot_be_used(desk: Desk, output: str) -> None:
    desk.write(letter())
    (desk.folder / "closed").mkdir(mode=0o555)
    files = desk.files()
    command = ("build_messages", "--campaign", "campaign.json", "--output-dir", output)
    done = desk.run(*command, "--json", powerless=True)
    assert done.code == 2, done
    assert output in done.json["error"]
    assert "Name a folder" in done.json["hint"]
    assert desk.files() == files


@pytest.mark.parametrize("output", ["closed/letter.eml", ".", "campaign.json/letter.eml"])
def test_a_file_that_cannot_be_written(desk: Desk, output: str) -> None:
    desk.write(letter())
    (desk.folder / "closed").mkdir(mode=0o555)
    files = desk.files()
    command = ("send_test_message", "--campaign", "campaign.json", "--to", "t@example.org")
    done = desk.run(*command, "--dry-run", "--write-eml", output, "--json", powerless=True)
    assert done.code == 2, done
    assert "--write-eml" in done.json["error"]
    assert desk.files() == files


def test_a_pipe_is_written_to_and_stays_in_its_place(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    pipe = desk.folder / "pipe"
    os.mkfifo(pipe)
    trial = ["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"]
    for command, begins in (
        ([*trial, "--dry-run", "--write-eml", "pipe"], b"Date: "),
        (["campaign_report", "--campaign-id", campaign_id, "--jobs-csv", "pipe"], b"\xef\xbb\xbf"),
    ):
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        done = desk.run(*command)
        assert done.code == 0, done
        assert begins in os.read(reader, 65536)
        os.close(reader)
        assert pipe.is_fifo()


def test_a_table_of_jobs_that_cannot_be_written(desk: Desk) -> None:
    campaign_id = desk.imported(letter())
    (desk.folder / "closed").mkdir(mode=0o555)
    files = desk.files()
    report = ["campaign_report", "--campaign-id", campaign_id, "--json", "--jobs-csv"]
    done = desk.run(*report, "closed/jobs.csv", powerless=True)
    assert done.code == 2, done
    assert "--jobs-csv: closed/jobs.csv" in done.json["error"]
    assert desk.files() == files
