"""The real engine against a server that does everything, and processes that die anywhere.

A process that dies stops in the middle: its connection is cut, it writes no more, and the lock of
its journal is gone. One that freezes sleeps past its lease while another one works.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Job
from app.db.session import make_engine, session_factory
from app.mailer.adapters.journal import FileJournal
from app.mailer.domain.errors import MailerError
from app.mailer.domain.job import Event, SendStatus
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
from app.mailer.services import engine as engine_module
from app.mailer.services import recovery as recovery_module
from app.mailer.services.engine import LEASE
from app.mailer.services.review import resolve
from app.mailer.services.send_campaign import send_campaign
from tests.integration.services.sending.house import House, letter, make_house
from tests.servers.postgres import migrate

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

PEOPLE = 4
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
OPEN_PLACES = ("after_claim", "after_stage", "after_commit", "after_dot", "after_journal")
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
        self.journal = _Journal(self, house.journals, full_disk)

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
        return _Transport(self)

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
        except Dead:
            pass
        finally:
            HERE.process = outside
            self.journal.close(settled=report is not None and report.stopped is None)


#: Which process a thread belongs to.
HERE = threading.local()


class _Journal(FileJournal):
    def __init__(self, process: Process, folder: Path, full_disk: bool) -> None:
        super().__init__(folder)
        self._process = process
        self._full_disk = full_disk

    def check(self) -> None:
        if self._full_disk:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().check()

    def record(self, record: JournalRecord) -> None:
        self._process.alive()
        super().record(record)


@dataclass
class _Transport:
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


@pytest.fixture(scope="module", autouse=True)
def _failpoints() -> Any:
    def reached(name: str) -> None:
        process: Process | None = getattr(HERE, "process", None)
        if process is not None:
            process.reached(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "failpoint", reached)
        patch.setattr(recovery_module, "failpoint", reached)
        yield


@pytest.fixture(scope="module", autouse=True)
def _template(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A database with a built campaign, to begin each example with."""
    folder = tmp_path_factory.mktemp("template")
    url = f"sqlite:///{folder}/mail.db"
    migrate(url)
    making = make_house(url, folder)
    house = next(making)
    retry = {"max_attempts": 3, "backoff_seconds": 60}
    Sending.campaign_id = house.build(letter(25, PEOPLE, delivery={"retry": retry})).campaign_id
    Sending.actor = house.actor
    Sending.template = folder / "mail.db"
    with suppress(StopIteration):
        next(making)


class Sending(RuleBasedStateMachine):
    """Random days in the life of a campaign."""

    campaign_id: UUID
    actor: Any
    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mm-engine-"))
        shutil.copy(self.template, self.folder / "mail.db")
        self.db = make_engine(f"sqlite:///{self.folder}/mail.db")
        self.house = House(session_factory(self.db), self.folder, self.actor)
        self.world = World()
        self.resent: Counter[str] = Counter()
        self.assumed: set[UUID] = set()
        #: Who was not to get it any more, and how many they had by then.
        self.cancelled: dict[str, int] = {}
        self.house.queue(self.campaign_id)

    # -- what happens

    @rule()
    def queue(self) -> None:
        self.cancelled.clear()
        self.house.queue(self.campaign_id)

    @rule(
        plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=6),
        limit=st.sampled_from([None, 1, 2]),
        full_disk=st.sampled_from([False, False, False, True]),
    )
    def run(self, plan: list[str], limit: int | None, full_disk: bool) -> None:
        self.world.plan = deque(plan)
        Process(self.house, self.world, full_disk=full_disk).run(self.campaign_id, limit)

    @rule(
        plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=3),
        at=st.sampled_from(PLACES),
        visit=st.sampled_from([1, 1, 2]),
    )
    def die(self, plan: list[str], at: str, visit: int) -> None:
        self.world.plan = deque(plan)
        process = Process(self.house, self.world, at=at, visit=visit, action=lambda: process.die())
        process.run(self.campaign_id, None)

    @rule(
        plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=5),
        at=st.sampled_from(OPEN_PLACES),
        visit=st.sampled_from([1, 1, 2]),
    )
    def freeze(self, plan: list[str], at: str, visit: int) -> None:
        def sleep_and_let_another_work() -> None:
            self.house.clock.sleep(LEASE.total_seconds() + 60)
            Process(self.house, self.world).run(self.campaign_id, None)

        self.world.plan = deque(plan)
        Process(self.house, self.world, at=at, visit=visit, action=sleep_and_let_another_work).run(
            self.campaign_id, None
        )

    @rule(
        plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=4),
        at=st.sampled_from(["after_claim", "after_stage", "after_commit"]),
        other_at=st.sampled_from(OPEN_PLACES),
    )
    def freeze_and_wake_while_another_works(self, plan: list[str], at: str, other_at: str) -> None:
        arrived, go_on = threading.Event(), threading.Event()

        def stay() -> None:
            arrived.set()
            go_on.wait(20)

        other = Process(self.house, self.world, at=other_at, action=stay)
        thread = threading.Thread(target=other.run, args=(self.campaign_id, None))

        def sleep_until_it_is_there() -> None:
            self.house.clock.sleep(LEASE.total_seconds() + 60)
            thread.start()
            while thread.is_alive() and not arrived.wait(0.005):
                pass

        self.world.plan = deque(plan)
        Process(self.house, self.world, at=at, action=sleep_until_it_is_there).run(
            self.campaign_id, None
        )
        go_on.set()
        if thread.ident is None:
            thread.start()
        thread.join()

    @rule(at=st.sampled_from(OPEN_PLACES), event=st.sampled_from([Event.CANCEL, Event.RESEND]))
    def a_person_meddles(self, at: str, event: Event) -> None:
        Process(
            self.house, self.world, at=at, action=lambda: self._settle(event, range(PEOPLE))
        ).run(self.campaign_id, None)

    @rule(at=st.sampled_from(["before_commit", "after_commit", "after_claim", "after_record"]))
    def the_database_goes_away(self, at: str) -> None:
        def fail() -> None:
            raise OperationalError("", {}, Exception("the server closed the connection"))

        Process(self.house, self.world, at=at, action=fail).run(self.campaign_id, None)

    @rule(seconds=st.sampled_from([30, 120, 7_200, 200_000]))
    def wait(self, seconds: int) -> None:
        self.house.clock.sleep(seconds)

    @rule(
        event=st.sampled_from([Event.CANCEL, Event.RETRY, Event.RESEND, Event.ASSUME_SENT]),
        number=st.integers(0, PEOPLE - 1),
    )
    def a_person_decides(self, event: Event, number: int) -> None:
        self._settle(event, [number])

    def _settle(self, event: Event, numbers: Iterable[int]) -> None:
        before = {job.entry_id: job for job in self._jobs()}
        for number in numbers:
            with self.house.sessions() as session, suppress(MailerError):
                settled = resolve(
                    session,
                    self.house.actor,
                    self.campaign_id,
                    version_id=None,
                    entry_ids=[f"e{number}"],
                    event=event,
                    reason="because",
                    now=self.house.clock.now(),
                    box=self.house.box,
                )
                session.commit()
                for entry in settled.entries:
                    address = before[entry].recipients[0]
                    if event is Event.CANCEL:
                        self.cancelled[address] = self.world.accepted[address]
                    if event is Event.RESEND:
                        self.resent[address] += 1
                    elif event is Event.ASSUME_SENT:
                        self.assumed.add(before[entry].id)

    # -- what must hold

    def _jobs(self) -> Sequence[Job]:
        return self.house.jobs(self.campaign_id)

    @invariant()
    def nobody_gets_it_twice(self) -> None:
        for address, count in self.world.accepted.items():
            assert count <= 1 + self.resent[address], address

    @invariant()
    def sent_means_that_the_server_took_it(self) -> None:
        for job in self._jobs():
            taken = self.world.accepted[job.recipients[0]]
            if job.send_status is _S.SENT and job.id not in self.assumed:
                assert taken >= 1
                assert self.house.attempts(job)[-1].outcome is AttemptOutcome.ACCEPTED
                assert job.sent_at is not None
            if job.send_status in (_S.FAILED, _S.QUEUED, _S.DEFERRED, _S.CANCELLED):
                assert taken <= self.resent[job.recipients[0]]

    @invariant()
    def cancelled_is_cancelled(self) -> None:
        for job in self._jobs():
            address = job.recipients[0]
            if address in self.cancelled:
                assert job.send_status is _S.CANCELLED
                assert self.world.accepted[address] == self.cancelled[address]

    @invariant()
    def in_doubt_is_what_nobody_can_know(self) -> None:
        for job in self._jobs():
            if job.send_status is _S.IN_DOUBT:
                assert (job.id, job.fence) not in self.world.answers_on_disk
                assert self.house.attempts(job)[-1].outcome is AttemptOutcome.UNKNOWN

    @invariant()
    def the_attempts_tell_the_story(self) -> None:
        for job in self._jobs():
            attempts = self.house.attempts(job)
            assert [each.number for each in attempts] == list(range(1, len(attempts) + 1))
            assert len({each.fence for each in attempts}) == len(attempts)
            for each in attempts:
                running = each is attempts[-1] and job.send_status is _S.COMMITTING
                assert (each.outcome is None) == running
            accepted = sum(each.outcome is AttemptOutcome.ACCEPTED for each in attempts)
            assert accepted <= 1 + self.resent[job.recipients[0]]
            assert job.attempt_count <= 3

    def teardown(self) -> None:
        """Whatever happened, it ends: everybody is reached, refused, stopped or in doubt."""
        if not hasattr(self, "house"):
            return
        try:
            self.world.plan.clear()
            for _ in range(4):
                Process(self.house, self.world).run(self.campaign_id, None)
                self.house.clock.sleep(5 * 3600)
            self.nobody_gets_it_twice()
            self.sent_means_that_the_server_took_it()
            self.in_doubt_is_what_nobody_can_know()
            self.the_attempts_tell_the_story()
            jobs = self._jobs()
            assert len(jobs) == PEOPLE
            assert {job.send_status for job in jobs} <= {
                _S.SENT,
                _S.FAILED,
                _S.IN_DOUBT,
                _S.CANCELLED,
            }
            assert not list(self.house.journals.iterdir())
        finally:
            self.db.dispose()
            shutil.rmtree(self.folder, ignore_errors=True)


TestSending = Sending.TestCase
TestSending.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
