"""Copies through a line that keeps breaking: each is in the Sent folder once.

    python bench/delivery/appends.py [--copies 1000] [--drops 50] [--workers 2] [--seed 1]

Real Postgres, real Dovecot; between the workers and Dovecot a relay that cuts connections in the
middle of a copy, or of an answer, at places that the seed says. Then the folder is compared with
what the mail server took. Exits 1 where one copy is missing, there twice, or differs.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server"))

from app.db.models import AppendAttemptOutcome
from app.mailer.adapters.clock import SystemClock
from app.mailer.domain.delivery.job import ImapStatus
from app.mailer.services.append_some import append_some
from app.mailer.services.open_folders import OpenFolders
from tests.integration.services.sending.house import House, make_house
from tests.integration.services.sending.office import Office
from tests.servers.certificates import Certificates
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.dovecot import DovecotServer
from tests.servers.postgres import PostgresServer
from tests.servers.smtp import SmtpServer


class Breaking(CuttingProxy):
    """Cuts each connection somewhere else, on its way up or down, until it has done so often."""

    def __init__(self, target: tuple[str, int], drops: int, copies: int, seed: int) -> None:
        super().__init__(target)
        self._chance = random.Random(seed)  # noqa: S311 - places to cut
        self._drops = drops
        #: Copies of some 450 octets between two cuts, so that all cuts happen.
        self._spread = max(1, copies // drops) * 450

    def _pass(self, source: object, sink: object, down: bool) -> None:  # type: ignore[override]
        if not down:
            far = 1_000 + self._chance.randrange(self._spread)
            up = self._chance.random() < 0.5
            over = self.cuts >= self._drops
            self.cut_up = None if over or not up else far
            self.cut_down = None if over or up else far
        super()._pass(source, sink, down)  # type: ignore[arg-type]


class Hurried(SystemClock):
    """Waits of hours pass in a moment: the bench moves it on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + self.ahead


def work(office: Office, campaign: UUID, outcomes: list[Counter[AppendAttemptOutcome]]) -> None:
    house = office.house
    folders = OpenFolders(replace(office.box, patience=timedelta()))
    journal = house.journal()
    while True:
        done = append_some(
            folders,
            house.actor.tenant_id,
            campaign,
            worker=journal.worker,
            stop=threading.Event(),
            seconds=10,
        )
        outcomes.append(done.outcomes)
        if not done.more:
            break
    folders.close_idle(-1)
    journal.close(settled=True)


def run(house: House, imap: DovecotServer, smtp: SmtpServer, options: argparse.Namespace) -> bool:
    clock = Hurried()
    house.clock = clock  # type: ignore[assignment]
    office = Office(house, imap, smtp, imap.new_user())
    outcomes: list[Counter[AppendAttemptOutcome]] = []
    target = ("127.0.0.1", imap.port)
    with Breaking(target, options.drops, options.copies, options.seed) as proxy:
        office.port = proxy.port
        campaign = office.sent(options.copies)
        begin = time.perf_counter()
        while any(job.imap_status is ImapStatus.PENDING for job in house.jobs(campaign)):
            threads = [
                threading.Thread(target=work, args=(office, campaign, outcomes))
                for _ in range(options.workers)
            ]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            clock.ahead += timedelta(minutes=5)
        seconds = time.perf_counter() - begin
    total: Counter[AppendAttemptOutcome] = sum(outcomes, Counter())
    copies = Counter(office.copies)
    wanted = Counter(message.data for message in smtp.messages)
    missing, more = (wanted - copies).total(), (copies - wanted).total()
    print(f"{options.copies} copies, {options.workers} workers, seed {options.seed}")
    print(f"  dropped connections {proxy.cuts}")
    print(f"  tries               {', '.join(f'{n} {each}' for each, n in total.items())}")
    print(f"  seconds             {seconds:.1f} ({options.copies / seconds:.0f} copies a second)")
    print(f"  in the folder       {copies.total()}; missing {missing}, too many {more}")
    return not (missing or more) and proxy.cuts >= options.drops


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificates = Certificates(folder)
        with (
            PostgresServer() as postgres,
            DovecotServer(certificates.good) as imap,
            SmtpServer() as smtp,
        ):
            url = postgres.new_database()
            for house in make_house(url, folder):
                return 0 if run(house, imap, smtp, options) else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
