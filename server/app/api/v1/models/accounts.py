"""What the API says of mail accounts, and takes for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from app.api.forms import form
from app.api.v1.models.number import REALLY
from app.api.v1.models.text import unsent
from app.db.models import MailAccount
from app.mailer.domain.mail_account import sender_patterns
from app.mailer.domain.mailbox import control_character
from app.mailer.ports import Security

Auth = Literal["password", "xoauth2"]


def _one_line(text: str) -> str:
    if fault := control_character(text):
        raise ValueError(f"has {fault}, which has no place here")
    return text


def _password(secret: SecretStr) -> SecretStr:
    _one_line(secret.get_secret_value())
    return secret


def _senders(texts: list[str]) -> list[str]:
    return list(sender_patterns(texts))


_Line = AfterValidator(_one_line)
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True),
    _Line,
    Field(description="What `server.account` of a campaign calls it", examples=["office"]),
]
Host = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=253,
        pattern=form(r"^[^\s\x00-\x1f\x7f/@]+$", "the name of a server, without spaces, / and @"),
    ),
    Field(examples=["mail.example.org"]),
]
Port = Annotated[int, Field(ge=1, le=65535), REALLY]
Username = Annotated[str, StringConstraints(max_length=320), _Line]
Password = Annotated[
    SecretStr,
    Field(
        min_length=1,
        max_length=4096,
        description="Goes in and never comes out; for `xoauth2` the access token",
    ),
    AfterValidator(_password),
]
Folder = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    _Line,
    Field(description="The folder for copies; `auto`: the one that the server marks"),
]
PerMinute = Annotated[
    float,
    Field(gt=0, le=100_000, allow_inf_nan=False, description="Letters a minute"),
    REALLY,
]
Count = Annotated[int, Field(ge=1, le=10_000_000), REALLY]
Connections = Annotated[int, Field(ge=1, le=100, description="Connections at once"), REALLY]
Senders = Annotated[
    list[Annotated[str, StringConstraints(max_length=320)]],
    Field(
        max_length=500,
        description="Who may be the sender: addresses, or `@domain` for all of a domain; none: "
        "anybody",
        examples=[["office@example.org", "@example.net"]],
    ),
    AfterValidator(_senders),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Server(_Body):
    def columns(self, server: str) -> dict[str, Any]:
        """What was sent, by the column that it goes to; the password in the clear."""
        found = {f"{server}_{key}": getattr(self, key) for key in self.model_fields_set}
        return {
            key: value.get_secret_value() if isinstance(value, SecretStr) else value
            for key, value in found.items()
        }


class SmtpIn(_Server):
    """The server that takes the letters."""

    host: Host
    port: Port | None = Field(
        default=None, description="Default: 587 for `starttls`, 465 for `tls`, 25 for `plain`"
    )
    security: Security = Security.STARTTLS
    auth: Auth = "password"
    username: Username | None = None
    password: Password | None = None


class ImapIn(_Server):
    """The server that keeps the copies."""

    host: Host
    port: Port | None = Field(default=None, description="Default: 993 for `tls`, else 143")
    security: Security = Security.TLS
    auth: Auth = "password"
    username: Username | None = None
    password: Password | None = None
    sent_folder: Folder = "auto"


class _Limits(_Body):
    per_minute: PerMinute | None = None
    per_hour: Count | None = Field(
        default=None, description="Letters an hour; kept by spreading them evenly"
    )
    per_day: Count | None = Field(
        default=None, description="Letters a day; kept by spreading them evenly"
    )
    concurrency: Connections | None = None
    from_addresses: Senders = []

    def columns(self) -> dict[str, Any]:
        """What was sent, by column."""
        found: dict[str, Any] = {}
        for key in self.model_fields_set:
            value = getattr(self, key)
            if isinstance(value, _Server):
                found |= value.columns(key)
            elif key in ("smtp", "imap"):
                found[f"{key}_host"] = None
            else:
                found[key] = value
        return found


class AccountIn(_Limits):
    """A new mail account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "office",
                    "smtp": {
                        "host": "mail.example.org",
                        "security": "starttls",
                        "username": "office@example.org",
                        "password": "correct horse battery staple",
                    },
                    "per_minute": 30,
                    "from_addresses": ["@example.org"],
                }
            ]
        }
    )

    name: Name
    smtp: SmtpIn
    imap: ImapIn | None = None


class SmtpPatch(_Server):
    """What should change of the server that takes the letters."""

    host: Host = Field(default_factory=unsent)
    port: Port = Field(default_factory=unsent)
    security: Security = Field(default_factory=unsent)
    auth: Auth = Field(default_factory=unsent)
    username: Username | None = None
    password: Password | None = Field(default=None, description="null forgets it")


class ImapPatch(SmtpPatch):
    """What should change of the server that keeps the copies."""

    sent_folder: Folder = Field(default_factory=unsent)


class AccountPatch(_Limits):
    """What should change; the rest stays.

    A server that moves to another host, or loses its encryption, forgets its password unless one
    comes along.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"per_hour": 500}]})

    name: Name = Field(default_factory=unsent)
    smtp: SmtpPatch = Field(default_factory=unsent)
    imap: ImapPatch | None = Field(default=None, description="null: the account has none")
    from_addresses: Senders = Field(default_factory=unsent)


class ServerOut(BaseModel):
    host: str
    port: int
    security: Security
    auth: str
    username: str | None
    password_set: bool = Field(description="Whether a password is kept")


class ImapOut(ServerOut):
    sent_folder: str


class ServerCheck(BaseModel):
    ok: bool
    message: str = Field(
        description="What is wrong, or that nothing is",
        examples=["The login as “office@example.org” worked."],
    )
    tls_version: str | None = Field(default=None, examples=["TLSv1.3"])


class SmtpCheck(ServerCheck):
    extensions: list[str] = Field(default=[], examples=[["PIPELINING", "SIZE", "SMTPUTF8"]])
    size_limit: int | None = Field(default=None, description="Bytes; null: none is stated")
    mechanisms: list[str] = Field(default=[], examples=[["LOGIN", "PLAIN"]])


class ImapCheck(ServerCheck):
    capabilities: list[str] = []
    sent_folder: str | None = Field(default=None, examples=["Sent"])


class CheckOut(BaseModel):
    """What the servers of an account said to a login. Nothing was sent."""

    ok: bool
    smtp: SmtpCheck | None
    imap: ImapCheck | None

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> CheckOut:
        return cls.model_validate(result)


class AccountOut(BaseModel):
    """A mail account; its passwords never show."""

    id: UUID
    name: str
    campaign_id: UUID | None = Field(
        description="Set where the import of a campaign's file brought it: for that campaign alone"
    )
    revision: int = Field(description="Grows with each change; the ETag is made of it")
    smtp: ServerOut | None
    imap: ImapOut | None
    per_minute: float | None
    per_hour: int | None
    per_day: int | None
    concurrency: int | None
    from_addresses: list[str]
    checked_at: datetime | None
    check_result: CheckOut | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, account: MailAccount) -> AccountOut:
        smtp, imap = (_server(account, name) for name in ("smtp", "imap"))
        return cls(
            **{
                key: getattr(account, key)
                for key in cls.model_fields
                if key not in ("smtp", "imap", "check_result")
            },
            smtp=ServerOut.model_validate(smtp) if smtp else None,
            imap=ImapOut.model_validate({**imap, "sent_folder": account.imap_sent_folder})
            if imap
            else None,
            check_result=CheckOut.of(account.check_result) if account.check_result else None,
        )


def _server(account: MailAccount, name: str) -> dict[str, Any] | None:
    if not getattr(account, f"{name}_host"):
        return None
    found = {
        key: getattr(account, f"{name}_{key}")
        for key in ("host", "port", "security", "auth", "username")
    }
    return {**found, "password_set": getattr(account, f"{name}_password") is not None}
