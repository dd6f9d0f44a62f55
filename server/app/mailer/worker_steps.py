"""What a worker's main process does beside Celery: dispatch every few seconds, and stay awake.

A worker that no longer hears its broker looks alive and does nothing. So each worker calls itself
by a queue of its own; where it does not hear that for long, although the broker takes the call, it
starts itself anew.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from celery import Celery, bootsteps
from celery.signals import task_received, worker_ready, worker_shutdown
from kombu.entity import Exchange, Queue

from app.bootstrap.broker import make_bell
from app.celery_app import DISPATCH_SECONDS
from app.mailer.ports import Bell, BellAway
from app.settings import get_settings

_log = logging.getLogger(__name__)

#: Seconds between two calls, and those after which a worker that hears none is deaf.
_CALL_SECONDS, _DEAF_SECONDS = 5.0, 40.0
#: Seconds for the letters in hand, before the process is replaced in any case.
_GRACE_SECONDS = 15.0
_CALL = "call_oneself"


class _Dispatching(bootsteps.StartStopStep):  # type: ignore[misc]
    """Rings for a dispatch every few seconds, as long as the connection stands."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        bell = make_bell(get_settings())
        self._timer = parent.timer.call_repeatedly(DISPATCH_SECONDS, _ask, (bell,))
        _ask(bell)

    def stop(self, parent: Any) -> None:
        del parent
        if (timer := getattr(self, "_timer", None)) is not None:
            timer.cancel()


def _ask(bell: Bell) -> None:
    try:
        bell.dispatch()
    except BellAway as away:
        _log.warning("No dispatch could be rung for: %s", away)


class _Watch:
    """Notices that this worker no longer hears its broker."""

    def __init__(self, app: Celery, queue: str) -> None:
        self._app = app
        self._queue = queue
        self._heard = time.monotonic()
        self._ending = False
        self.deaf = False

    def hear(self) -> None:
        self._heard = time.monotonic()

    def end(self) -> None:
        self._ending = True
        with suppress(Exception), self._app.connection_for_write() as connection:
            connection.default_channel.queue_delete(self._queue)

    def watch(self) -> None:
        while not self._ending:
            time.sleep(_CALL_SECONDS)
            try:
                self._app.send_task(_CALL, queue=self._queue, retry=False, expires=_DEAF_SECONDS)
            except Exception:  # the broker is away: nobody can be heard now
                self.hear()
                continue
            if time.monotonic() - self._heard > _DEAF_SECONDS and not self._ending:
                self._start_anew()
                return

    def _start_anew(self) -> None:
        _log.error("This worker does not hear the broker any more; it starts anew.")
        self.deaf = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        replace_process()


def replace_process() -> None:
    """This program again, in this process. What the pool has in hand it finishes by itself."""
    os.execv(  # noqa: S606 - this program itself
        sys.executable, [sys.executable, *sys.orig_argv[1:]]
    )


def supervise(app: Celery) -> None:
    """Have each worker of `app` dispatch and watch itself."""
    app.steps["consumer"].add(_Dispatching)

    @app.task(name=_CALL)  # type: ignore[untyped-decorator]
    def call_oneself() -> None:
        """Only to be heard."""

    watches: list[_Watch] = []

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def ready(sender: Any, **_: Any) -> None:
        queue = f"worker.{sender.hostname}"
        sender.add_task_queue(Queue(queue, Exchange(queue), routing_key=queue))
        watches.append(_Watch(app, queue))
        threading.Thread(target=watches[0].watch, name="watch", daemon=True).start()

    @task_received.connect(weak=False)  # type: ignore[untyped-decorator]
    def received(request: Any, **_: Any) -> None:
        if request.name == _CALL and watches:
            watches[0].hear()

    @worker_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    def gone(**_: Any) -> None:
        for each in watches:
            each.end()
            if each.deaf:
                replace_process()
