"""The sender of an installation without Redis: one process, found by looking every second."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from uuid import UUID

from app.bootstrap.alone import Alone
from app.bootstrap.delivery import PostOffice
from app.bootstrap.program import Program
from app.db.session import DATABASE_AWAY, what_is_away

_log = logging.getLogger(__name__)

#: Between two looks at the database.
_LOOK_SECONDS = 1.0
#: How long a version sends before the others have had their turn.
_SEND_SECONDS = 5.0
#: Versions that send at the same time, each over its own connections.
_AT_ONCE = 8


class EmbeddedSender:
    """Implements `ports.Bell` for itself: what is rung for begins in a thread of this process.

    Limits are counted in this process, so only one at a time may send: the others wait, and go on
    where it ended. `shutdown` ends it once the letters in hand are finished.
    """

    def __init__(self, program: Program, shutdown: threading.Event) -> None:
        self._program = program
        self._shutdown = shutdown
        self._office = PostOffice(program, self, shutdown)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "send")
        #: What is in work, and whether it was rung for meanwhile.
        self._busy: dict[tuple[str, UUID], bool] = {}
        self._lock = threading.Lock()

    def run(self) -> None:
        alone = Alone(self._program.engine, self._program.settings.database_url)
        while not self._shutdown.is_set():
            try:
                if alone.holds():
                    self._office.dispatch()
            except DATABASE_AWAY as error:
                _log.warning("The database could not be used: %s", what_is_away(error))
            self._shutdown.wait(_LOOK_SECONDS)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._office.close()
        alone.release()

    # -- ports.Bell

    def send(self, tenant: UUID, version: UUID) -> None:
        self._begin("send", version, partial(self._office.send, tenant, version, _SEND_SECONDS))

    def append(self, tenant: UUID, campaign: UUID) -> None:
        work = partial(self._office.append, tenant, campaign, _SEND_SECONDS)
        self._begin("append", campaign, work)

    def dispatch(self) -> None:
        """Nothing: it looks every second."""

    def heard_send(self, version: UUID) -> None:
        """Nothing: it knows."""

    def heard_append(self, campaign: UUID) -> None:
        """Nothing: it knows."""

    def _begin(self, kind: str, what: UUID, work: Callable[[], object]) -> None:
        key = kind, what
        with self._lock:
            if key in self._busy or self._shutdown.is_set():
                self._busy[key] = True
                return
            self._busy[key] = False
        self._submit(key, work)

    def _submit(self, key: tuple[str, UUID], work: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # it ends at this moment
            self._threads.submit(work).add_done_callback(partial(self._ended, key, work))

    def _ended(
        self, key: tuple[str, UUID], work: Callable[[], object], done: Future[object]
    ) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and not done.cancelled():
            _log.error("Work on %s met a fault", key[1], exc_info=done.exception())
        with self._lock:
            again = self._busy[key] and not failed and not self._shutdown.is_set()
            if again:
                self._busy[key] = False
            else:
                del self._busy[key]
        if again:
            self._submit(key, work)
