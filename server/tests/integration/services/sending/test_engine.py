"""The real engine through random days: servers that lie, processes that die, people who meddle."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.exc import OperationalError

from app.db.models import AttemptOutcome, Job
from app.db.session import make_engine, session_factory
from app.mailer.domain.delivery.job import Event, SendStatus
from app.mailer.domain.errors import MailerError
from app.mailer.services import ledger as ledger_module
from app.mailer.services import line as line_module
from app.mailer.services import recovery as recovery_module
from app.mailer.services.lane import LEASE
from app.mailer.services.review import Selection, resolve
from tests.integration.services.sending.house import House, letter, make_house
from tests.integration.services.sending.world import (
    BEHAVIOURS,
    HERE,
    OPEN_PLACES,
    PLACES,
    Process,
    World,
)
from tests.servers.postgres import migrate

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

PEOPLE = 8
#: A run sends so many, so that something is left for what happens next.
SOME = 2
#: Letters that are committed at once.
WINDOWS = (1, 3)
_S = SendStatus


@pytest.fixture(scope="module", autouse=True)
def _failpoints() -> Any:
    def reached(name: str) -> None:
        process: Process | None = getattr(HERE, "process", None)
        if process is not None:
            process.reached(name)

    with pytest.MonkeyPatch.context() as patch:
        for module in (line_module, ledger_module, recovery_module):
            patch.setattr(module, "failpoint", reached)
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

    @initialize(window=st.sampled_from(WINDOWS))
    def begin(self, window: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mm-engine-"))
        shutil.copy(self.template, self.folder / "mail.db")
        self.db = make_engine(f"sqlite:///{self.folder}/mail.db")
        self.house = House(session_factory(self.db), self.folder, self.actor, window=window)
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
        full_disk=st.sampled_from([False, False, False, True]),
    )
    def run(self, plan: list[str], full_disk: bool) -> None:
        self.world.plan = deque(plan)
        Process(self.house, self.world, full_disk=full_disk).run(self.campaign_id, SOME)

    @rule(
        plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=3),
        at=st.sampled_from(PLACES),
        visit=st.sampled_from([1, 1, 2]),
    )
    def die(self, plan: list[str], at: str, visit: int) -> None:
        self.world.plan = deque(plan)
        process = Process(self.house, self.world, at=at, visit=visit, action=lambda: process.die())
        process.run(self.campaign_id, SOME)

    @rule(
        plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=5),
        at=st.sampled_from(OPEN_PLACES),
        visit=st.sampled_from([1, 1, 2]),
    )
    def freeze(self, plan: list[str], at: str, visit: int) -> None:
        def sleep_and_let_another_work() -> None:
            self.house.clock.sleep(LEASE.total_seconds() + 60)
            Process(self.house, self.world).run(self.campaign_id, SOME)

        self.world.plan = deque(plan)
        Process(self.house, self.world, at=at, visit=visit, action=sleep_and_let_another_work).run(
            self.campaign_id, SOME
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
        thread = threading.Thread(target=other.run, args=(self.campaign_id, SOME))

        def sleep_until_it_is_there() -> None:
            self.house.clock.sleep(LEASE.total_seconds() + 60)
            thread.start()
            while thread.is_alive() and not arrived.wait(0.005):
                pass

        self.world.plan = deque(plan)
        Process(self.house, self.world, at=at, action=sleep_until_it_is_there).run(
            self.campaign_id, SOME
        )
        go_on.set()
        if thread.ident is None:
            thread.start()
        thread.join()

    @rule(at=st.sampled_from(OPEN_PLACES), event=st.sampled_from([Event.CANCEL, Event.RESEND]))
    def a_person_meddles(self, at: str, event: Event) -> None:
        Process(
            self.house, self.world, at=at, action=lambda: self._settle(event, range(PEOPLE))
        ).run(self.campaign_id, SOME)

    @rule(at=st.sampled_from(["before_commit", "after_commit", "after_claim", "after_record"]))
    def the_database_goes_away(self, at: str) -> None:
        def fail() -> None:
            raise OperationalError("", {}, Exception("the server closed the connection"))

        Process(self.house, self.world, at=at, action=fail).run(self.campaign_id, SOME)

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
                    selection=Selection([f"e{number}"]),
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
            assert all(each.outcome is not None for each in attempts)
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
TestSending.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


@pytest.fixture(params=WINDOWS)
def day(request: pytest.FixtureRequest) -> Iterator[Sending]:
    """One day that is not random; it ends with everything checked."""
    day = Sending()
    day.begin(request.param)
    yield day
    _check(day)
    day.teardown()


def _check(day: Sending) -> None:
    day.nobody_gets_it_twice()
    day.sent_means_that_the_server_took_it()
    day.cancelled_is_cancelled()
    day.in_doubt_is_what_nobody_can_know()
    day.the_attempts_tell_the_story()


@pytest.mark.parametrize("behaviour", ["accept", "dot-451", "dot-554"])
@pytest.mark.parametrize("place", [place for place in PLACES if "recover" not in place])
def test_dying_anywhere(day: Sending, place: str, behaviour: str) -> None:
    day.die([behaviour, behaviour], place, 1)
    _check(day)
    for again in ("recover_before_replay", "recover_before_expire", "recover_before_discard"):
        day.die([], again, 1)
        _check(day)
    day.run([], False)
    doubtful = [job for job in day._jobs() if job.send_status is _S.IN_DOUBT]
    # What the journal does not name did not leave, whatever was committed.
    assert len(doubtful) == (place in ("before_dot", "after_dot"))


@pytest.mark.parametrize("behaviour", ["dot-lost-kept", "dot-lost-dropped", "dot-junk-kept"])
def test_a_lost_answer_is_never_tried_again(day: Sending, behaviour: str) -> None:
    day.run([behaviour], False)
    day.wait(200_000)
    day.run([behaviour], False)
    counted = Counter(job.send_status for job in day._jobs())
    assert counted == {_S.IN_DOUBT: 2, _S.SENT: 2, _S.QUEUED: PEOPLE - 4}


@pytest.mark.parametrize("other_place", OPEN_PLACES)
@pytest.mark.parametrize("place", ["after_claim", "after_stage", "after_commit"])
def test_waking_while_another_is_anywhere(day: Sending, place: str, other_place: str) -> None:
    day.freeze_and_wake_while_another_works([], place, other_place)


@pytest.mark.parametrize("place", OPEN_PLACES)
def test_freezing_past_the_lease(day: Sending, place: str) -> None:
    day.freeze([], place, 1)


@pytest.mark.parametrize("place", OPEN_PLACES)
def test_cancelling_at_any_moment(day: Sending, place: str) -> None:
    day.a_person_meddles(place, Event.CANCEL)
    # Once the dot is allowed, the letters in hand are not to be stopped any more.
    got = sum(day.world.accepted.values())
    if day.house.window == 1:
        assert got == (place not in ("after_claim", "after_stage"))
    else:
        assert got == (0 if place == "after_claim" else SOME)


@pytest.mark.parametrize("place", ["before_commit", "after_commit", "after_claim", "after_record"])
def test_the_database_goes_away(day: Sending, place: str) -> None:
    day.the_database_goes_away(place)


def test_a_full_disk_sends_nothing(day: Sending) -> None:
    day.run([], True)
    assert not day.world.accepted
    assert {job.send_status for job in day._jobs()} == {_S.QUEUED}
