"""A mail server that does everything, and processes that can die or freeze anywhere.

A process that dies stops in the middle: its connection is cut, it writes no more, and the lock of
its journal is gone.
"""

from __future__ import annotations

import errno
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Job
from app.mailer.adapters.journal import FileJournal
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.ports import (
    Envelope,
    JournalRecord,
    MailTransport,
    RecipientReply,
    Reply,
    ServerAccess,
    Stage,
    Staged,
    TransportFailure,
)
from app.mailer.services.send_campaign import send_campaign
from tests.integration.services.sending.house import House

_S = SendStatus

#: What the server does with a message: at a stage before the dot, or at the dot.
BEHAVIOURS = (
    "accept",
    "connect-lost",
    "mail-451",
    "mail-550",
    "rcpt-451",
    "rcpt-550",
    "data-lost",
    "auth-535",
    "dot-451",
    "dot-554",
    "dot-535",
    "dot-lost-kept",
    "dot-lost-dropped",
    "dot-junk-kept",
)
#: Outside any transaction; there another process can work meanwhile.
OPEN_PLACES = (
    "after_claim",
    "after_stage",
    "after_commit",
    "before_dot",
    "after_dot",
    "after_journal",
)
PLACES = (
    *OPEN_PLACES,
    "before_commit",
    "after_record",
    "recover_before_replay",
    "recover_before_expire",
    "recover_before_discard",
)


class Dead(BaseException):
    """The process is gone: nothing that it was about to do happens."""


class World:
    """The mail server, and what it and the journals know for certain."""

    def __init__(self) -> None:
        self.plan: deque[str] = deque()
        self.accepted: Counter[str] = Counter()
        self.answers_on_disk: set[tuple[UUID, int]] = set()

    def next(self) -> str:
        return self.plan.popleft() if self.plan else "accept"


class Process:
    """One run of the command. `at` is the place where `action` happens, at its nth visit."""

    def __init__(
        self,
        house: House,
        world: World,
        *,
        at: str = "",
        visit: int = 1,
        action: Callable[[], None] | None = None,
        full_disk: bool = False,
    ) -> None:
        self.house = house
        self.world = world
        self.dead = False
        #: To whom the message was that the server answered last.
        self.answered = ""
        self._at, self._visits, self._action = at, visit, action
        self.journal = Journal(self, house.journals, full_disk)

    def reached(self, name: str) -> None:
        self.alive()
        if name == "after_journal":
            self.world.answers_on_disk |= self._answered()
        if name == self._at:
            self._visits -= 1
            if self._visits == 0 and self._action is not None:
                self._action()
                self.alive()

    def _answered(self) -> set[tuple[UUID, int]]:
        with self.house.sessions() as session:
            jobs = session.scalars(select(Job).where(Job.send_status == _S.COMMITTING))
            return {(job.id, job.fence) for job in jobs if job.recipients[0] == self.answered}

    def die(self) -> None:
        self.dead = True

    def alive(self) -> None:
        if self.dead:
            raise Dead

    def sessions(self) -> Session:
        self.alive()
        return self.house.sessions()

    def connect(self, _access: ServerAccess) -> MailTransport:
        HERE.process = self  # each connection is made by the thread that uses it
        return Transport(self)

    def run(self, campaign_id: UUID, limit: int | None) -> None:
        outside, HERE.process = getattr(HERE, "process", None), self
        sessions: Any = self.sessions
        outbox = replace(self.house.outbox, sessions=sessions, connect=self.connect)
        report = None
        try:
            report = send_campaign(
                outbox,
                self.house.actor,
                campaign_id,
                journal=self.journal,
                limit=limit,
                rate_limit=True,
                stop=threading.Event(),
                on_start=lambda _total: None,
                on_done=lambda _job, _status: None,
            )
            assert "unexpectedly" not in (report.stopped or ""), report.stopped
        except Dead:
            pass
        finally:
            HERE.process = outside
            self.journal.close(settled=report is not None and report.stopped is None)


#: Which process a thread belongs to.
HERE = threading.local()


class Journal(FileJournal):
    def __init__(self, process: Process, folder: Path, full_disk: bool) -> None:
        super().__init__(folder)
        self._process = process
        self._full_disk = full_disk

    def check(self) -> None:
        if self._full_disk:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().check()

    def dot(self, job_id: UUID, fence: int) -> None:
        self._process.alive()
        super().dot(job_id, fence)

    def sync(self) -> None:
        self._process.alive()
        super().sync()

    def record(self, record: JournalRecord) -> None:
        self._process.alive()
        super().record(record)


@dataclass
class Transport:
    process: Process
    staged: tuple[Envelope, str] | None = None

    def stage(self, envelope: Envelope, size: int, chunks: Iterable[bytes]) -> Staged:
        self.process.alive()
        assert sum(map(len, chunks)) == size
        behaviour = self.process.world.next()
        replies = tuple(RecipientReply(a, Reply(250, "ok")) for a in envelope.recipients)
        match behaviour.partition("-"):
            case ("connect" | "data" as stage, _, "lost"):
                raise TransportFailure(Stage(stage), "The server hung up.")
            case ("mail" | "rcpt" as stage, _, code):
                reply = Reply(int(code), "said the server")
                raise TransportFailure(Stage(stage), "Refused.", reply, replies)
            case ("auth", _, _):
                reply = Reply(535, "5.7.8 no")
                raise TransportFailure(Stage.AUTH, "No.", reply, permanent_here=True)
        self.staged = envelope, behaviour
        return Staged(replies)

    def finish(self) -> Reply:
        self.process.alive()
        assert self.staged is not None
        envelope, behaviour = self.staged
        self.staged = None
        if behaviour == "accept" or behaviour.endswith("kept"):
            self.process.world.accepted.update(envelope.recipients)
        if behaviour.startswith("dot-junk"):
            raise TransportFailure(Stage.DOT, "Nonsense.", Reply(354, "what?"))
        if "lost" in behaviour:
            raise TransportFailure(Stage.DOT, "The server hung up after the end of the message.")
        self.process.answered = envelope.recipients[0]
        code = 250 if behaviour == "accept" else int(behaviour.removeprefix("dot-"))
        return Reply(code, "said the server")

    def abort(self) -> None:
        self.staged = None

    def close(self) -> None:
        self.staged = None
