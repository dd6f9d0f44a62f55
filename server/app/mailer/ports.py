"""What the services need from the world, as Protocols; `bootstrap` joins them to adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.rows import Table
from app.mailer.domain.files.stat import FileStat as FileStat
from app.mailer.domain.mime.blob import BlobRef as BlobRef


class Clock(Protocol):
    """The time of day (timezone-aware, UTC), a monotonic time in seconds, and waiting."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class StopSign(Protocol):
    """Set when work is to end soon, as a `threading.Event` is."""

    def is_set(self) -> bool: ...


class Progress(Protocol):
    """Hears how far long work is: `done` of `total` (None: unknown) steps of a named phase."""

    def __call__(self, phase: str, done: int, total: int | None) -> None: ...


class BlobStore(Protocol):
    """Content-addressed bytes of a tenant, each whole or absent. Known content is kept once.

    `put` may still be under way when it returns; `sync` returns once everything that this thread
    has put is safe, and raises what failed. `put_stream` takes any size in flat memory; where
    `chunks` raises, nothing is kept.

    `get` and `open` raise `BlobMissing` where the bytes are absent. They verify the hash: `get`
    raises `BlobDamaged` where it differs, `open` does so in the place of the last chunk, so that
    whoever got all chunks got the right bytes. `delete` of what is absent does nothing.

    An upload waits in pieces (at most `PIECE_BYTES` each) until it is whole: `stage` keeps one
    that begins at `offset`; of several at one offset that of the highest `turn` counts. `staged`
    gives the bytes, piece behind piece, as far as they join, and `unstage` forgets them;
    `unstage_overtaken` only the pieces from `offset` on of turns before `turn`. `sweep` removes
    what crashes left unfinished before a moment.

    Every method raises `StorageFailed` where the store cannot be used; `check` does nothing else.
    """

    def put(self, tenant: UUID, data: bytes) -> BlobRef: ...
    def put_stream(self, tenant: UUID, chunks: Iterable[bytes]) -> BlobRef: ...
    def get(self, tenant: UUID, ref: BlobRef) -> bytes: ...
    def open(self, tenant: UUID, ref: BlobRef) -> Iterator[bytes]: ...
    def has(self, tenant: UUID, ref: BlobRef) -> bool: ...
    def delete(self, tenant: UUID, ref: BlobRef) -> None: ...
    def sync(self) -> None: ...
    def check(self) -> None: ...
    def stage(self, tenant: UUID, upload: UUID, offset: int, turn: int, data: bytes) -> None: ...
    def staged(self, tenant: UUID, upload: UUID) -> Iterator[bytes]: ...
    def unstage(self, tenant: UUID, upload: UUID) -> None: ...
    def unstage_overtaken(self, tenant: UUID, upload: UUID, offset: int, turn: int) -> None: ...
    def sweep(self, before: datetime) -> None: ...


#: The largest piece of an upload: what a request holds in memory.
PIECE_BYTES = 8 * 2**20


class Scan(Protocol):
    """One look for malware at one stream of bytes; used as a context manager, once."""

    def __enter__(self) -> Scan: ...
    def __exit__(self, *_: object) -> None: ...
    def feed(self, chunk: bytes) -> None: ...
    def verdict(self) -> str | None: ...


class Scanner(Protocol):
    """A malware scanner: each call begins a scan, `verdict` names what was found, or nothing.

    Everything raises `ScannerFailed` where there can be no verdict.
    """

    def __call__(self) -> Scan: ...


class ContentType(Protocol):
    """The media type of a file by how it begins; `octet-stream` where nothing is known."""

    def __call__(self, head: bytes) -> str: ...


class SecretBox(Protocol):
    """Authenticated encryption at rest; `context` is associated data, as `domain.sealed` makes it.

    `open` and `rewrap` raise `ConfigurationError` where key or context differ, or a byte changed.
    `rewrap` gives the same value under the current master key, and every value under that begins
    with `head`.
    """

    @property
    def head(self) -> bytes: ...
    def seal(self, plaintext: bytes, context: str) -> bytes: ...
    def open(self, sealed: bytes, context: str) -> bytes: ...
    def rewrap(self, sealed: bytes, context: str) -> bytes: ...


# ---------------------------------------------------------------- SMTP


class Security(StrEnum):
    PLAIN = "plain"
    TLS = "tls"
    STARTTLS = "starttls"


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """How to reach and log in to a mail server. `password` never shows in a repr."""

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    #: An OAuth 2 access token: AUTH XOAUTH2 is used instead of PLAIN or LOGIN.
    oauth_token: str | None = field(default=None, repr=False)
    #: Somebody else than the operator named the host: it may not be in a private network.
    confined: bool = False


class Stage(StrEnum):
    """The part of an SMTP conversation in which something happened (RFC 5321)."""

    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the command, and the text up to but not including the closing dot
    DOT = "dot"  # the closing dot may have left


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply: the three-digit code and its text, lines joined by a newline."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class RecipientReply:
    address: str
    reply: Reply


class TransportFailure(Exception):
    """The conversation ended before a reply to the closing dot.

    `reply` is the server's answer, or None where the connection failed. Only with
    `stage == Stage.DOT` can the server have kept the message; before it, nothing was accepted
    (RFC 5321, 4.1.1.10), so repeating is safe.
    """

    def __init__(
        self,
        stage: Stage,
        message: str,
        reply: Reply | None = None,
        recipients: Sequence[RecipientReply] = (),
        *,
        permanent_here: bool = False,
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message
        self.reply = reply
        self.recipients = tuple(recipients)
        #: The fault lies with the account or this installation (a certificate that does not fit,
        #: a wrong password, SMTPUTF8 not offered), not with the moment: waiting will not help.
        self.permanent_here = permanent_here


@dataclass(frozen=True, slots=True)
class Envelope:
    """MAIL FROM and RCPT TO of one message; addresses without angle brackets."""

    sender: str
    recipients: tuple[str, ...]
    needs_smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    """Everything but the closing dot has been sent; each recipient's RCPT reply."""

    recipients: tuple[RecipientReply, ...]


class MailTransport(Protocol):
    """One SMTP connection, reused for many messages. Not thread-safe: one for each worker.

    `stage` connects where needed (EHLO, TLS, AUTH), sends MAIL, RCPT and DATA with the dot-stuffed
    text and holds the closing dot back; it raises `TransportFailure` and leaves no transaction
    open. If any recipient is refused, the whole message is: it resets and raises with every
    recipient's reply. `finish` sends the dot and returns whatever reply the server gave; a lost
    or garbled reply raises `TransportFailure` with `Stage.DOT`. `abort` drops the connection,
    so that a staged message is never accepted. `close` says QUIT and ignores its answer.
    """

    def stage(self, envelope: Envelope, size: int, chunks: Iterable[bytes]) -> Staged: ...
    def finish(self) -> Reply: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


# ---------------------------------------------------------------- IMAP


class AppendOutcome(StrEnum):
    APPENDED = "appended"
    ALREADY_THERE = "already_there"


class SentFolderFailure(Exception):
    """An append failed; with `unknown` the server may hold the copy: search, then try again.

    `refused`: the server said no to this copy. Otherwise none was offered to it: the server or
    the way to it is at fault, and with `permanent_here` waiting will not help.
    """

    def __init__(
        self,
        message: str,
        *,
        unknown: bool = False,
        permanent_here: bool = False,
        refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.unknown = unknown
        self.permanent_here = permanent_here
        self.refused = refused


class SentFolder(Protocol):
    """The Sent folder of one IMAP account, one connection reused.

    `folder` is the name that was resolved (configured, `\\Sent` special use, common names).
    `append` searches for the Message-ID first and appends only where it is absent, and where
    `may_append` still says so right before.
    """

    def folder(self) -> str: ...
    def contains(self, message_id: str) -> bool: ...
    def append(
        self,
        message: bytes,
        message_id: str,
        sent_at: datetime,
        *,
        may_append: Callable[[], bool] = ...,
    ) -> AppendOutcome: ...
    def close(self) -> None: ...


# ---------------------------------------------------------------- pace, journal


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be sent by one key, an account or a campaign. None: no limit of that kind.

    `per_minute` is spread evenly; `per_hour` and `per_day` are budgets of the sixty minutes and of
    the 24 hours that end now. `sent_before` tells a limiter that knows nothing of the key's past
    what was sent: pairs of seconds ago and how many; it is asked only where there is a budget.
    """

    key: str
    per_minute: float | None = None
    per_hour: int | None = None
    per_day: int | None = None
    sent_before: Callable[[], Iterable[tuple[float, int]]] = field(default=tuple, compare=False)

    @property
    def is_limit(self) -> bool:
        return any(each is not None for each in (self.per_minute, self.per_hour, self.per_day))


@dataclass(frozen=True, slots=True)
class Standing:
    """How one key stands, for people's eyes. `share` of its pace is used now: 1, or less after the
    server complained; `pace` is that in letters a minute, None without any. `wait` is the seconds
    until the next place. `this_hour` and `today` are used of the budgets, None without one;
    `connections` are open now.
    """

    key: str
    pace: float | None
    share: float
    wait: float
    this_hour: int | None
    today: int | None
    connections: int


class LimiterAway(Exception):
    """The limits cannot be asked, so nothing may be sent; the text says why."""


class RateLimiter(Protocol):
    """Paces sends by key, for all processes that share it. Times are those of its own clock.

    `reserve` takes one place of all allowances, or of none; the answer is the seconds to wait
    for it. More than `patience`: nothing was taken, ask again then. `slow_down` tells that
    `per_minute`, the pace that was allowed or reached, is too fast for the server; for a key that
    has no pace it becomes one, until it has recovered; `slowed` tells that pace, or None.
    Connections are counted by owner: `enter` takes or renews up to `wanted` for `HOLD_SECONDS`, so
    that all owners of a key have at most `at_most`, and answers how many this owner has now;
    `leave` gives them back. Every method raises `LimiterAway`.
    """

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float: ...
    def slow_down(self, key: str, per_minute: float) -> None: ...
    def slowed(self, key: str) -> float | None: ...
    def enter(self, key: str, owner: str, wanted: int, at_most: int) -> int: ...
    def leave(self, key: str, owner: str) -> None: ...
    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]: ...


#: How long an owner of connections that says nothing keeps them.
HOLD_SECONDS = 15.0


class Bell(Protocol):
    """Wakes up whoever sends: there is something to do; `dispatch`: look at everything.

    A ring may be lost, late, or heard twice, so nothing but the database says what there is to do.
    Whoever begins says that it was `heard`: the next ring is for another one. Raises `BellAway`.
    """

    def send(self, tenant: UUID, version: UUID) -> None: ...
    def append(self, tenant: UUID, campaign: UUID) -> None: ...
    def dispatch(self) -> None: ...
    def heard_send(self, version: UUID) -> None: ...
    def heard_append(self, campaign: UUID) -> None: ...


class BellAway(Exception):
    """Nobody can be woken up now; the text says why."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """The server's reply to one closing dot, kept on disk before the database hears of it."""

    job_id: UUID
    fence: int
    code: int
    text: str
    at: datetime


class Journal(Protocol):
    """A local, fsynced file of replies, held by one live worker of one tenant.

    The worker holds a lock on its journal as long as it lives, so a journal whose lock is free
    belongs to a dead worker: its leases need not be waited for. `check` makes sure that more
    records will fit on the disk, `dot` notes that a closing dot is about to leave, `record` what
    the server answered: both are kept where the process dies, and by `sync` also where the machine
    does. All raise `OSError`. `abandoned` yields the journals of the dead, each locked by the
    caller meanwhile. `close` removes it if `settled` (the database knows everything that it holds).
    """

    worker: str

    def check(self) -> None: ...
    def dot(self, job_id: UUID, fence: int) -> None: ...
    def record(self, record: JournalRecord) -> None: ...
    def sync(self) -> None: ...
    def abandoned(self) -> Iterator[AbandonedJournal]: ...
    def close(self, *, settled: bool) -> None: ...


class Journals(Protocol):
    """The journals of this machine. `tenants` has those of whom there are any, of the living or of
    the dead; `abandoned` is that of `Journal`, for who has none.
    """

    def open(self, tenant: UUID) -> Journal: ...
    def tenants(self) -> Sequence[UUID]: ...
    def abandoned(self, tenant: UUID) -> Iterator[AbandonedJournal]: ...


class AbandonedJournal(Protocol):
    """A dead worker's journal. `dots` are the jobs (with fence) whose closing dot may have left;
    None where the machine was started anew since, so that some may be missing.
    """

    worker: str

    def records(self) -> Sequence[JournalRecord]: ...
    def dots(self) -> AbstractSet[tuple[UUID, int]] | None: ...
    def discard(self) -> None: ...


# ---------------------------------------------------------------- files


class FileTree(Protocol):
    """The files below one base folder, read without ever following a link out of it.

    `scan` reads the tree once; after it `folders` has every folder that was entered, and
    `unreadable` what was not seen (no rights, a name that is not UTF-8). `read` opens component by
    component without following symlinks, and raises `UnsafePath`, `FileChanged` or `OSError`.
    """

    root: str
    folders: list[str]
    unreadable: list[str]

    def scan(self, progress: Progress | None = None) -> Sequence[FileStat]: ...
    def read(self, stat: FileStat) -> bytes: ...


class FileFault(Exception):
    """A file that a campaign refers to cannot be used; `code` is an issue code."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class CampaignFiles(Protocol):
    """The files that one campaign refers to, found from where its own file stands.

    `text` and `data` raise `FileFault`; `table` never raises, its faults are in its `issues`;
    `tree` raises `FileFault` for a base folder that is not there. `used_below` has the paths,
    relative to a tree's root, that were read otherwise than through that tree. `uploaders` has the
    identities (`Actor.identity`) of those who uploaded what was read until now, trees included.
    """

    @property
    def uploaders(self) -> AbstractSet[str]: ...

    def text(self, path: str, encoding: str) -> str: ...
    def data(self, path: str) -> bytes: ...
    def table(self, source: Source) -> Table: ...
    def tree(self, base_path: str) -> FileTree: ...
    def used_below(self, tree: FileTree) -> AbstractSet[str]: ...


class PdfText(Protocol):
    """The text of a PDF, all pages; raises `ValueError` with the reason where it has none."""

    def __call__(self, data: bytes) -> str: ...


class Archiver(Protocol):
    """Makes one archive of named files; with a password AES-256 (WinZip AE-2)."""

    def __call__(
        self, files: Sequence[tuple[str, bytes]], password: str | None, method: str
    ) -> bytes: ...


# ---------------------------------------------------------------- what people look at


@dataclass(frozen=True, slots=True)
class ShownHtml:
    """A page for people's eyes. `blocked` things on other servers are not shown in it."""

    document: str
    blocked: int


class ShowHtml(Protocol):
    """A letter's HTML as a page that looks like it, runs nothing and asks no server for anything.

    `images` has a `data:` URL for each content id.
    """

    def __call__(self, html: str, images: Mapping[str, str]) -> ShownHtml: ...
