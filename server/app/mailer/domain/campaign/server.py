"""`server`: where letters leave and where the copies in Sent go."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from app.mailer.domain.campaign.block import SECRET, Block, key
from app.mailer.domain.campaign.values import NUMBER, WHOLE, Filled
from app.mailer.domain.mail_account import AccountTerms

SecurityMode: TypeAlias = Literal["plain", "tls", "starttls"]

AuthMode: TypeAlias = Literal["password", "xoauth2"]

SMTP_PORTS: dict[str, int] = {"plain": 25, "tls": 465, "starttls": 587}
IMAP_PORTS: dict[str, int] = {"plain": 143, "tls": 993, "starttls": 143}

_HOST = r"^[^\s\x00-\x1f\x7f/@]+$"


def _smtp_port(found: dict[str, Any]) -> int:
    return SMTP_PORTS[found.get("security", "starttls")]


def _imap_port(found: dict[str, Any]) -> int:
    return IMAP_PORTS[found.get("security", "tls")]


class SmtpServer(Block):
    """An SMTP server that takes the letters."""

    host: Annotated[
        str, key("Host", "Name or address of the server.", "mail.example.org", pattern=_HOST)
    ]
    security: Annotated[
        SecurityMode,
        key(
            "Security",
            "`starttls`: encryption begins after the greeting. `tls`: from the first byte. "
            "`plain`: none; for a server on this machine. Certificates are always verified. "
            "Default: `starttls`.",
            "starttls",
        ),
    ] = "starttls"
    port: Annotated[
        int,
        key(
            "Port",
            "Default: 587 for `starttls`, 465 for `tls`, 25 for `plain`.",
            587,
            ge=1,
            le=65535,
        ),
        WHOLE,
    ] = Field(default_factory=_smtp_port)
    username: Annotated[
        str | None,
        key("User name", "Default: none, and nobody logs in.", "office@example.org"),
    ] = None
    password: Annotated[
        str | None,
        key(
            "Password",
            "Of this user. At import it moves into encrypted storage. Default: none.",
            "correct horse battery staple",
            **SECRET,
        ),
    ] = None
    auth: Annotated[
        AuthMode,
        key(
            "Login",
            "`password`: by PLAIN or LOGIN, as the server offers. `xoauth2`: the password is an "
            "OAuth 2 access token. Default: `password`.",
            "xoauth2",
        ),
    ] = "password"
    timeout_seconds: Annotated[
        float,
        key(
            "Time-out",
            "How many seconds to wait for each answer. Default: 30.",
            30,
            gt=0,
            le=600,
        ),
        NUMBER,
    ] = 30.0


class ImapServer(Block):
    """An IMAP server that keeps the copies of sent letters."""

    enabled: Annotated[
        bool, key("Enabled", "Use this server. Default: yes, where this section is there.", True)
    ] = True
    host: Annotated[
        str,
        key(
            "Host",
            "Name or address of the server; needed if `enabled`. Default: none.",
            "imap.example.org",
            pattern=_HOST,
        ),
    ] = ""
    security: Annotated[
        SecurityMode,
        key(
            "Security",
            "`tls`: encryption from the first byte. `starttls`: after the greeting. `plain`: "
            "none; for a server on this machine. Certificates are always verified. "
            "Default: `tls`.",
            "tls",
        ),
    ] = "tls"
    port: Annotated[
        int,
        key(
            "Port",
            "Default: 993 for `tls`, 143 for `starttls` and `plain`.",
            993,
            ge=1,
            le=65535,
        ),
        WHOLE,
    ] = Field(default_factory=_imap_port)
    username: Annotated[str | None, key("User name", "Default: none.", "office@example.org")] = None
    password: Annotated[
        str | None,
        key(
            "Password",
            "Of this user. At import it moves into encrypted storage. Default: none.",
            "correct horse battery staple",
            **SECRET,
        ),
    ] = None
    auth: Annotated[
        AuthMode,
        key(
            "Login",
            "`password`: by PLAIN or LOGIN, as the server offers. `xoauth2`: the password is an "
            "OAuth 2 access token. Default: `password`.",
            "xoauth2",
        ),
    ] = "password"
    sent_folder: Annotated[
        Filled,
        key(
            "Sent folder",
            "The folder's name, or `auto`: the one that the server marks as Sent, else a usual "
            "name. Default: `auto`.",
            "auto",
            "Gesendet",
        ),
    ] = "auto"


class Server(Block):
    """A stored mail account, or the servers themselves; neither in a draft."""

    account: Annotated[
        Filled | None,
        key(
            "Account",
            "The name of a stored mail account; then no `smtp` and no `imap`. Default: none.",
            "office",
        ),
    ] = None
    smtp: Annotated[
        SmtpServer | None,
        key(
            "SMTP",
            "The server that takes the letters. Default: none.",
            {"host": "mail.example.org", "port": 587, "security": "starttls"},
        ),
    ] = None
    imap: Annotated[
        ImapServer | None,
        key(
            "IMAP",
            "The server that keeps the copies. Default: none.",
            {"host": "imap.example.org", "port": 993, "security": "tls"},
        ),
    ] = None


class ResolvedServer(Server):
    """The servers of a stored campaign as they are used; no file is ever read as this.

    Where `account` is named, `smtp` and `imap` are the account's, and `terms` what it asks for;
    without `terms` there is no such account. `confined`: whoever named the hosts may not lead
    this program into a private network.
    """

    terms: AccountTerms | None = None
    confined: bool = True
