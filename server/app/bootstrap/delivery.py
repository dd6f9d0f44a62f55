"""One process that sends, joined together, for tasks and for the embedded worker."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

from app.bootstrap.program import Program
from app.db.session import DATABASE_AWAY, what_is_away
from app.mailer.adapters.journal import JournalFolder
from app.mailer.ports import Bell, BellAway, StopSign
from app.mailer.services.append_some import AppendedSome, append_some
from app.mailer.services.connections import Connections
from app.mailer.services.dispatch import Dispatched, dispatch
from app.mailer.services.send_some import Lanes, Sender, SomeSent

_log = logging.getLogger(__name__)


class PostOffice:
    """The sending side of one process; connections and what is known of versions outlive a call.

    Safe for threads. `bell` rings for what is left to do.
    """

    def __init__(self, program: Program, bell: Bell, stop: StopSign) -> None:
        self._program = program
        self._bell = bell
        self._stop = stop
        self._connections = Connections(program.tools.connect, program.clock)
        self._outbox = replace(
            program.outbox(),
            connect=self._connections.connect,
            disconnect=self._connections.disconnect,
        )
        self._journals = JournalFolder(program.settings.journal_dir)
        self._lanes = Lanes(self._outbox)
        self._sender = Sender(self._outbox, self._lanes, self._journals)
        self._folders = program.open_folders()

    def send(self, tenant_id: UUID, version_id: UUID, seconds: float) -> SomeSent:
        """Send what is due of a version for so long; rings where more is due then.

        Where the database cannot be used nothing is lost: whoever tries next goes on.
        """
        _ring(self._bell.heard_send, version_id)
        try:
            done = self._sender.send_some(
                tenant_id,
                version_id,
                stop=self._stop,
                seconds=seconds,
                # More connections are allowed than one process has: another may take the rest.
                on_start=partial(_ring, self._bell.send),
            )
        except DATABASE_AWAY as error:
            _log.warning("Version %s waits: %s", version_id, what_is_away(error))
            return SomeSent(stopped="The database could not be used.")
        self._connections.close_idle()
        if done.more:
            _ring(self._bell.send, tenant_id, version_id)
        if done.stopped:
            _log.warning("Version %s: %s", version_id, done.stopped)
        return done

    def append(self, tenant_id: UUID, campaign_id: UUID, seconds: float) -> None:
        """File copies of a campaign's letters for so long; rings where more are due then."""
        _ring(self._bell.heard_append, campaign_id)
        try:
            done = self._append(tenant_id, campaign_id, seconds)
        except DATABASE_AWAY as error:
            _log.warning("Copies of campaign %s wait: %s", campaign_id, what_is_away(error))
            return
        self._folders.close_idle()
        if done.held:
            _log.warning("Copies of campaign %s wait: %s", campaign_id, done.held)
        if done.more and not self._stop.is_set():
            _ring(self._bell.append, tenant_id, campaign_id)

    def _append(self, tenant_id: UUID, campaign_id: UUID, seconds: float) -> AppendedSome:
        # Nothing is written to it: its lock tells that this worker lives.
        journal = self._journals.open(tenant_id)
        settled = False
        try:
            done = append_some(
                self._folders,
                tenant_id,
                campaign_id,
                worker=journal.worker,
                stop=self._stop,
                seconds=seconds,
            )
            settled = True
            return done
        finally:
            # After a fault the file stays, so that what this one had in hand is free at once.
            journal.close(settled=settled)

    def dispatch(self) -> Dispatched | None:
        """Clean up, and ring for everything that is due; None where that had to break off."""
        try:
            return dispatch(self._outbox, self._lanes, self._journals, self._bell)
        except DATABASE_AWAY as error:
            _log.warning("The database could not be used: %s", what_is_away(error))
        except BellAway as away:
            _log.warning("Nobody could be rung for: %s", away)
        return None

    def close(self) -> None:
        """Say goodbye to the servers."""
        self._folders.close_idle(-math.inf)
        self._connections.close_idle(-math.inf)


def _ring(ring: Callable[..., None], *what: UUID) -> None:
    """Where nobody can be rung for, the next dispatch does."""
    try:
        ring(*what)
    except BellAway as away:
        _log.warning("Nobody could be rung for: %s", away)
