"""The Sent folder of an IMAP account (RFC 3501): one copy of each letter, never two."""

from __future__ import annotations

import contextlib
import imaplib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from app.mailer.adapters.connection import (
    certificate_names,
    explain,
    inspecting_tls,
    names_another_host,
    verified_tls,
)
from app.mailer.adapters.imap_folders import Folder, FolderAbsent, choose
from app.mailer.adapters.imap_wire import BoundedClient
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import AppendOutcome, Security, SentFolderFailure, ServerAccess

_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_FIELD = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"
#: A copy is sent in one go; a line that carries less than this (octets a second) counts as dead.
_SLOWEST_LINE = 8192
#: What the library raises where an answer is no IMAP.
_NONSENSE = (TypeError, AttributeError, LookupError, RecursionError)
#: The connection is lost, silent or talks nonsense.
_BROKEN = (imaplib.IMAP4.abort, OSError, ValueError, *_NONSENSE)
_LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class ImapFacts:
    """What a server offers after login, and the folder that copies would go to."""

    capabilities: tuple[str, ...]
    folder: str
    tls_version: str | None


class ImapSentFolder:
    """`ports.SentFolder` over IMAP, connected when it is first needed, one connection reused.

    The folder is `folder_setting` (`delivery.imap_append_sent.folder`) where it is not `auto`,
    else `account_folder` (`server.imap.sent_folder`) where that is not, else the one that the
    server marks as `\\Sent` (RFC 6154), else one of the usual names. It is never created.
    Certificates are always verified; `ssl_context` adds authorities. An access that is confined
    leads into private networks only where `hosts` allow it.
    """

    def __init__(
        self,
        access: ServerAccess,
        folder_setting: str = "auto",
        account_folder: str = "auto",
        *,
        hosts: HostRules | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._access = access
        self._hosts = hosts or HostRules()
        self._place = f"{access.host}:{access.port}"
        self._settings = (folder_setting, account_folder)
        self._context = ssl_context
        self._client: BoundedClient | None = None
        self._folder: str | None = None

    # -- ports.SentFolder

    def folder(self) -> str:
        self._ready()
        assert self._folder is not None
        return self._folder

    def contains(self, message_id: str) -> bool:
        return self._holds(self._ready(), message_id)

    def append(
        self,
        message: bytes,
        message_id: str,
        sent_at: datetime,
        *,
        may_append: Callable[[], bool] = lambda: True,
    ) -> AppendOutcome:
        if sent_at.tzinfo is None:
            raise ValueError("sent_at needs a time zone")
        if message.count(b"\n") != message.count(b"\r\n") or message.count(b"\r\n") != (
            message.count(b"\r")
        ):
            # imaplib would mend it, and the copy would not be what was sent.
            raise ValueError("the message has a line break that is not CRLF")
        client = self._ready()
        if self._holds(client, message_id):
            return AppendOutcome.ALREADY_THERE
        if not may_append():
            raise self._failure("looking for the copy took too long to file it now")
        patience = self._access.timeout_seconds + len(message) / _SLOWEST_LINE
        try:
            client.be_patient(patience)
            client.append(self._folder, message, (rb"\Seen",), sent_at)
            client.be_patient(self._access.timeout_seconds)
        except _BROKEN as error:
            self._drop()
            message_ = f"the connection was lost while the copy was being filed ({_words(error)})"
            raise self._failure(message_, unknown=True) from None
        except imaplib.IMAP4.error as error:
            raise self._failure(f"the copy was not taken: {_words(error)}", refused=True) from None
        except BaseException:
            self._drop()
            raise
        return AppendOutcome.APPENDED

    def close(self) -> None:
        if self._client is not None:
            with contextlib.suppress(imaplib.IMAP4.error, *_BROKEN):
                self._client.logout()
        self._drop()

    def check(self) -> ImapFacts:
        """Connects, logs in and opens the folder read-only; `SentFolderFailure` says why not."""
        client = self._ready()
        sock = client.socket()
        try:
            capabilities = sorted(_text(each) for each in client.capabilities())
        except (imaplib.IMAP4.error, *_BROKEN) as error:
            raise self._failure(f"the connection was lost ({_words(error)})") from None
        return ImapFacts(
            tuple(capabilities),
            self.folder(),
            sock.version() if isinstance(sock, ssl.SSLSocket) else None,
        )

    # -- searching

    def _holds(self, client: BoundedClient, message_id: str) -> bool:
        if not _MESSAGE_ID.fullmatch(message_id):
            raise ValueError(f"{message_id!r} is not a Message-ID")
        try:
            # Said as one text: the library quotes less than the grammar asks for.
            found = client.search(f"HEADER Message-ID {_quoted(message_id)}")
            # SEARCH HEADER finds parts of a value too, so each candidate is read.
            fields = client.fetch(found, [_FIELD]) if found else {}
        except _BROKEN as error:
            self._drop()
            raise self._failure(f"the connection was lost ({_words(error)})") from None
        except imaplib.IMAP4.error as error:
            self._drop()
            raise self._failure(f"the folder cannot be searched: {_words(error)}") from None
        wanted = message_id.encode()
        return any(
            _value(part) == wanted
            for message in fields.values()
            for name, part in message.items()
            if name.startswith(b"BODY[")
        )

    # -- connecting

    def _ready(self) -> BoundedClient:
        """A connection with the folder open, read-only; an old one is tried first."""
        if self._client is not None:
            try:
                # Also makes the server tell of letters that came meanwhile.
                self._client.noop()
                return self._client
            except (imaplib.IMAP4.error, *_BROKEN):
                self._drop()
        try:
            self._client = self._connect()
            self._open_folder(self._client)
        except BaseException:
            self._drop()
            raise
        return self._client

    def _connect(self) -> BoundedClient:
        access = self._access
        context = self._context or verified_tls()
        try:
            client = self._reach(access, context)
        except (imaplib.IMAP4.error, *_BROKEN) as error:
            if isinstance(error, imaplib.IMAP4.error):
                raise self._failure(f"no IMAP server is speaking there: {_words(error)}") from None
            named = self._refused_certificate() if names_another_host(error) else ""
            fault = explain(error, access, certificate_for=named)
            raise SentFolderFailure(fault.message, permanent_here=fault.permanent_here) from None
        self._client = client
        self._log_in(client)
        return client

    def _reach(self, access: ServerAccess, context: ssl.SSLContext) -> BoundedClient:
        client = BoundedClient(access, self._hosts, context)
        if access.security is Security.STARTTLS:
            try:
                if not client.has_capability("STARTTLS"):
                    raise self._failure(
                        "the server does not offer STARTTLS, so nothing is sent. "
                        "With port 993, security is “tls”",
                        permanent_here=True,
                    )
                client.starttls(context)
                # Said before encryption, to be believed after it: forgotten (CVE-2011-0411).
                client._imap.untagged_responses.clear()
            except BaseException:
                with contextlib.suppress(OSError):
                    client.shutdown()
                raise
        return client

    def _refused_certificate(self) -> str:
        """Which hosts the certificate is for: asked again, and no login."""
        stranger = replace(self._access, username=None, password=None, oauth_token=None)
        try:
            look = self._reach(stranger, inspecting_tls())
        except (SentFolderFailure, imaplib.IMAP4.error, *_BROKEN):
            return ""
        names = certificate_names(look.socket().getpeercert(True))
        look.shutdown()
        return names

    def _log_in(self, client: BoundedClient) -> None:
        access = self._access
        user, password, token = access.username or "", access.password or "", access.oauth_token
        if not user or not (password or token):
            raise self._failure("user name or password is missing", permanent_here=True)
        if any(mark in f"{user}{password}{token}" for mark in "\0\r\n"):
            raise self._failure(
                "the user name or the password has a line break or a NUL in it",
                permanent_here=True,
            )
        try:
            if token:
                client.oauth2_login(user, token)
            elif client.has_capability("AUTH=PLAIN"):
                client.plain_login(user, password)
            elif client.has_capability("LOGINDISABLED"):
                raise self._failure(
                    "the server takes no password without encryption; "
                    "is security “starttls” or “tls” meant?",
                    permanent_here=True,
                )
            else:
                # imaplib quotes the password and not the name.
                client.login(_quoted(user), password)
        except UnicodeEncodeError:
            raise self._failure(
                "the server takes only ASCII in user name and password", permanent_here=True
            ) from None
        except _BROKEN as error:
            raise self._failure(f"the connection was lost at login ({_words(error)})") from None
        except imaplib.IMAP4.error as error:
            # RFC 5530: UNAVAILABLE and INUSE pass; anything else is for a person to mend.
            words = _words(error)
            passing = "[UNAVAILABLE]" in words or "[INUSE]" in words
            for secret in filter(None, (password, token)):
                words = words.replace(secret, "***")
            raise self._failure(
                f"the login as “{user}” was refused: {words}", permanent_here=not passing
            ) from None

    def _open_folder(self, client: BoundedClient) -> None:
        try:
            if self._folder is None:
                folders = [
                    Folder(name, _text(separator), frozenset(flags))
                    for flags, separator, name in client.list_folders()
                ]
                personal = client.namespace().personal if client.has_capability("NAMESPACE") else ()
                self._folder = choose(folders, [p[0] for p in personal or ()], *self._settings)
            client.select_folder(self._folder, readonly=True)
        except FolderAbsent as error:
            raise self._failure(str(error), permanent_here=True) from None
        except _BROKEN as error:
            raise self._failure(f"the connection was lost ({_words(error)})") from None
        except imaplib.IMAP4.error as error:
            raise self._failure(
                f"the folder “{self._folder}” cannot be opened: {_words(error)}",
                permanent_here=True,
            ) from None

    def _drop(self) -> None:
        if self._client is not None:
            with contextlib.suppress(imaplib.IMAP4.error, *_BROKEN):
                self._client.shutdown()
            self._client = None

    def _failure(
        self,
        message: str,
        *,
        unknown: bool = False,
        permanent_here: bool = False,
        refused: bool = False,
    ) -> SentFolderFailure:
        end = "" if message.endswith((".", "?")) else "."
        return SentFolderFailure(
            f"{self._place}: {message}{end}",
            unknown=unknown,
            permanent_here=permanent_here,
            refused=refused,
        )


def _value(field: bytes) -> bytes:
    """The value of a header field that may be folded."""
    return b"".join(field.partition(b":")[2].split())


def _words(error: BaseException) -> str:
    """The first line of an error's text, often the repr of the server's bytes."""
    if isinstance(error, _NONSENSE):
        return "its answer makes no sense"
    text = (str(error) or type(error).__name__).partition("\n")[0]
    text = re.sub(r"b'(.*)'", r"\1", text[:_LONGEST_WORDS])
    return "".join(c if c.isprintable() else "?" for c in text).rstrip(". ")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(separator: bytes | None) -> str:
    return separator.decode("ascii", "replace") if separator else ""
