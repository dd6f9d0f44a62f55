"""What holds for mail accounts: when a password is forgotten, who may send, and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.mailer.domain.mailbox import InvalidMailbox, Mailbox, parse_mailbox

MINUTES_PER_HOUR, MINUTES_PER_DAY = 60, 24 * 60


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Where a password goes: host, port and `plain`, `tls` or `starttls`."""

    host: str
    port: int
    security: str

    def may_keep_password_of(self, before: ServerPlace) -> bool:
        """Whether a password that was entered for `before` may go here.

        Never to another host, nor in the clear where it was encrypted. Encrypted, the certificate
        proves the host behind any port; in the clear another port may be somebody else's.
        """
        if self.host.casefold() != before.host.casefold():
            return False
        if self.security != "plain":
            return True
        return before.security == "plain" and self.port == before.port


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What a stored account asks of whoever sends by it; None: no limit.

    `from_addresses` are addresses, or `@domain` for all of a domain; none: anybody may be the
    sender.
    """

    id: UUID
    name: str
    per_minute: float | None = None
    per_hour: int | None = None
    per_day: int | None = None
    concurrency: int | None = None
    from_addresses: tuple[str, ...] = ()

    @property
    def pace(self) -> float | None:
        """Letters a minute that keep all three limits, whatever ran before: spread evenly.

        Nobody has to remember the last hour or day for that, not even over a restart.
        """
        return slowest(
            self.per_minute,
            None if self.per_hour is None else self.per_hour / MINUTES_PER_HOUR,
            None if self.per_day is None else self.per_day / MINUTES_PER_DAY,
        )

    def lets_send(self, sender: Mailbox) -> bool:
        """Whether letters of this account may come from `sender`."""
        return not self.from_addresses or any(
            allowed in (sender.key, f"@{sender.domain}") for allowed in self.from_addresses
        )


def slowest(*limits: float | None) -> float | None:
    """The lowest of the limits that there are."""
    return min((limit for limit in limits if limit is not None), default=None)


def sender_pattern(text: str) -> str:
    """One of `from_addresses` as it is stored and compared; `InvalidMailbox` for anything else."""
    stripped = text.strip()
    if stripped.startswith("@"):
        return f"@{parse_mailbox(f'x{stripped}').domain}"
    return parse_mailbox(stripped).key


def sender_patterns(texts: Iterable[str]) -> Sequence[str]:
    """All of them, each once; `ValueError` with everything that is wrong."""
    found: dict[str, None] = {}
    faults: list[str] = []
    for text in texts:
        try:
            found[sender_pattern(text)] = None
        except InvalidMailbox as error:
            faults.append(str(error))
    if faults:
        raise ValueError(" ".join(faults))
    return list(found)
