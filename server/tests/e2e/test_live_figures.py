"""Live figures as people see them: a stream of the real service, and a terminal."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from app.mailer.domain.delivery.job import SendStatus
from tests.e2e.scratch import copy_server
from tests.e2e.test_interruption import SERVER, Site, make_site
from tests.integration.services.sending.house import letter
from tests.servers.service import Service
from tests.servers.smtp import Act, SmtpServer

LETTERS = 8


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    yield from make_site(database_url, tmp_path)


@pytest.fixture
def serve(site: Site, tmp_path: Path) -> Iterator[Callable[[], httpx.Client]]:
    """Starts the service, which sends nothing itself, and gives a client of it."""
    started: list[Service] = []

    def start() -> httpx.Client:
        service = Service(
            server=copy_server(tmp_path / "copy"),
            DATABASE_URL=site._url,
            BLOB_DIR=str(site.house.folder / "blobs"),
            JOURNAL_DIR=str(site.house.journals),
            MASTER_KEY_B64=base64.b64encode(bytes(32)).decode(),
            DELIVERY_WORKER="external",
            OPERATIONS_WORKER="external",
        )
        started.append(service.start())
        client = httpx.Client(
            base_url=service.url, headers={"X-API-Key": site._api_key}, timeout=60
        )
        client.service = service  # type: ignore[attr-defined]
        return client

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def slow(start_smtp: Callable[..., SmtpServer]) -> SmtpServer:
    """A server that takes a moment for each letter, and refuses one."""
    acts: list[Any] = [Act(delay=0.5)] * LETTERS
    return start_smtp(script={"DOT": acts, "RCPT": [None, Act(reply="550 5.1.1 nobody here")]})


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_stream_of_the_service_tells_of_letters_as_they_leave(
    site: Site, serve: Callable[[], httpx.Client], slow: SmtpServer
) -> None:
    campaign = site.house.queued(letter(slow.port, LETTERS))
    client = serve()
    sender: threading.Thread | None = None
    told: list[tuple[float, str, Any]] = []
    path = f"/api/v1/campaigns/{campaign}/live"
    with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["x-accel-buffering"] == "no"
        for name, data in events(answer.iter_lines()):
            told.append((time.monotonic(), name, data))
            if sender is None:
                sender = threading.Thread(target=site.house.send, args=(campaign,))
                sender.start()
    assert sender is not None
    sender.join()
    figures = [data for _, name, data in told if name == "figures"]
    assert told[-1][1] == "end"
    assert figures[0]["remaining"] == LETTERS
    assert (figures[-1]["sent"], figures[-1]["failed"], figures[-1]["state"]) == (7, 1, "done")
    assert figures[-1]["errors"][0]["code"] == 550
    sent = [each["sent"] for each in figures]
    assert sent == sorted(sent)
    assert len(set(sent)) >= 3, "it was told while they left"
    assert "sending" in {each["state"] for each in figures}
    assert any(each["per_second_10"] for each in figures)
    moments = [at for at, name, _ in told if name == "figures"]
    assert len(moments) <= moments[-1] - moments[0] + 2, "once a second at most"


def test_streams_end_soon_when_the_service_stops(
    site: Site, serve: Callable[[], httpx.Client], slow: SmtpServer
) -> None:
    campaign = site.house.queued(letter(slow.port, LETTERS))
    client = serve()
    service: Service = client.service  # type: ignore[attr-defined]
    path = f"/api/v1/campaigns/{campaign}/live?follow=true"
    ended: list[float] = []
    opened = threading.Barrier(4)

    def listen() -> None:
        with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
            lines = answer.iter_lines()
            next(lines)
            opened.wait(30)
            with contextlib.suppress(httpx.HTTPError):
                list(lines)
        ended.append(time.monotonic())

    listeners = [threading.Thread(target=listen) for _ in range(3)]
    for each in listeners:
        each.start()
    opened.wait(30)
    begun = time.monotonic()
    os.kill(service.pid, signal.SIGTERM)
    for each in listeners:
        each.join(20)
    assert len(ended) == 3
    assert max(ended) - begun < 5


# -- the command


def watching(site: Site, campaign: UUID, *options: str, terminal: int) -> subprocess.Popen[str]:
    """The command in a terminal, or with `PIPE` as programs run it."""
    command = [*(sys.executable, "-m", "app.mailer.commands.campaign_report"), "--watch"]
    command += ["--campaign-id", str(campaign), *options]
    process = subprocess.Popen(
        command,
        cwd=SERVER,
        env={
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "TERM": "xterm",
            "APP_ENV": "dev",
            "DATABASE_URL": site._url,
            "BLOB_DIR": str(site.house.folder / "blobs"),
            "JOURNAL_DIR": str(site.house.journals),
            "MASTER_KEY_B64": base64.b64encode(bytes(32)).decode(),
            "MULTIMAILER_API_KEY": site._api_key,
        },
        stdin=terminal if terminal != subprocess.PIPE else subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        text=True,
    )
    site.started.append(process)
    return process


class Screen:
    """What a terminal of 100 columns was shown so far, without colours and cursor moves."""

    def __init__(self) -> None:
        self.master, self.end = os.openpty()
        ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody has the other end any more
            while found := os.read(self.master, 4096):
                self._text += found.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._text)

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in self.text:
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def close(self) -> None:
        os.close(self.end)
        self._reader.join(10)


def test_a_terminal_shows_letters_as_they_leave(site: Site, slow: SmtpServer) -> None:
    campaign = site.house.queued(letter(slow.port, LETTERS))
    screen = Screen()
    process = watching(site, campaign, "--interval", "0.3", terminal=screen.end)
    screen.wait_for("0 sent, 8 to go")
    report = site.house.send(campaign)
    assert report.outcomes[SendStatus.SENT] == 7
    assert process.wait(60) == 1, "one failed"
    screen.close()
    text = screen.text
    assert "Cards (cards)" in text
    assert "7 sent, 0 to go" in text
    assert "sent 7   failed 1" in text
    assert "5.1.1 nobody here" in text
    assert "Traceback" not in text
    numbers = {int(found) for found in re.findall(r"(\d+) sent, \d+ to go", text)}
    assert len(numbers) >= 3, "it was shown while they left"


def test_ctrl_c_ends_the_watching_and_nothing_else(site: Site, slow: SmtpServer) -> None:
    campaign = site.house.queued(letter(slow.port, LETTERS))
    screen = Screen()
    process = watching(site, campaign, terminal=screen.end)
    screen.wait_for("8 to go")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    screen.close()
    assert "Traceback" not in screen.text
    assert screen._text.rstrip().endswith("\x1b[?25h"), "the cursor is back"
    assert set(site.house.statuses(campaign)) == {"queued"}


def test_programs_get_a_line_of_json_for_each_change(site: Site, slow: SmtpServer) -> None:
    campaign = site.house.queued(letter(slow.port, LETTERS))
    process = watching(site, campaign, "--interval", "0.3", terminal=subprocess.PIPE)
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline())]
    sender = threading.Thread(target=site.house.send, args=(campaign,))
    sender.start()
    out, err = process.communicate(timeout=60)
    sender.join()
    assert (process.returncode, err) == (1, "")
    lines += [json.loads(line) for line in out.splitlines()]
    assert lines[0]["remaining"] == LETTERS
    assert (lines[-1]["sent"], lines[-1]["is_over"]) == (7, True)
    assert len({each["sent"] for each in lines}) >= 3
    without_time = [{**each, "at": ""} for each in lines]
    assert all(a != b for a, b in itertools.pairwise(without_time))


def test_what_is_over_is_shown_once(site: Site, smtp_server: SmtpServer) -> None:
    campaign = site.house.queued(letter(smtp_server.port, 2))
    site.house.send(campaign)
    process = watching(site, campaign, "--json", terminal=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["sent"] == 2


def test_who_has_seen_enough_ends_it(site: Site, slow: SmtpServer) -> None:
    """`campaign_report --watch | head -1` does not watch for ever."""
    campaign = site.house.queued(letter(slow.port, LETTERS))
    process = watching(site, campaign, "--interval", "0.3", terminal=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    site.house.send(campaign)
    assert process.wait(30) in (0, 1)
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize("option", [("--include-jobs",), ("--jobs-csv", "jobs.csv")])
def test_watching_writes_no_table(site: Site, smtp_server: SmtpServer, option: Any) -> None:
    campaign = site.house.build(letter(smtp_server.port)).campaign_id
    process = watching(site, campaign, *option, terminal=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "--watch shows the whole campaign" in err
