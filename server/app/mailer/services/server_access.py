"""How a campaign's servers are reached: what its file says, and what the operator overrides."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.mailer.domain.campaign import Campaign, ImapServer, ResolvedServer, SmtpServer
from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import Security, ServerAccess


@dataclass(frozen=True, slots=True)
class SmtpOverrides:
    """What flags or the `MULTIMAILER_SMTP_*` variables say instead of the campaign."""

    host: str | None = None
    port: int | None = None
    security: Security | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __or__(self, others: SmtpOverrides) -> SmtpOverrides:
        """These, and `others` where these say nothing."""
        return SmtpOverrides(
            self.host or others.host,
            self.port or others.port,
            self.security or others.security,
            self.username or others.username,
            self.password or others.password,
        )


def smtp_access(campaign: Campaign, overrides: SmtpOverrides) -> ServerAccess:
    """The SMTP server of a campaign; `ConfigurationError` where nothing names one.

    A host that is overridden does not get the password that the campaign has for its own host.
    """
    spec = campaign.server.smtp
    host = overrides.host or (spec.host if spec is not None else None)
    if host is None:
        raise ConfigurationError(
            _no_server(campaign, "SMTP"), "Fill in `server.smtp`, or set MULTIMAILER_SMTP_HOST."
        )
    own_username = own_password = None
    if spec is not None and host == spec.host:
        own_username, own_password = spec.username, spec.password
    security = overrides.security or (
        Security(spec.security) if spec is not None else Security.STARTTLS
    )
    default_port = SmtpServer(host=host, security=security.value).port
    if spec is not None and not (overrides.security and overrides.security != spec.security):
        default_port = spec.port
    return _access(
        spec,
        host=host,
        port=overrides.port or default_port,
        security=security,
        username=overrides.username or own_username,
        password=overrides.password or own_password,
        # What the operator overrides, the operator is free to.
        confined=overrides.host is None and _confined(campaign),
    )


def imap_access(campaign: Campaign) -> ServerAccess:
    """The IMAP server of a campaign; `ConfigurationError` where none is named or enabled."""
    spec = campaign.server.imap
    if spec is None or not spec.enabled:
        raise ConfigurationError(_no_server(campaign, "IMAP"), "Fill in `server.imap`.")
    return _access(
        spec,
        host=spec.host,
        port=spec.port,
        security=Security(spec.security),
        username=spec.username,
        password=spec.password,
        confined=_confined(campaign),
    )


def wants_sent_copy(campaign: Campaign) -> bool:
    """Whether a copy of each sent letter goes to the Sent folder."""
    imap = campaign.server.imap
    return campaign.delivery.imap_append_sent.enabled and imap is not None and imap.enabled


def _confined(campaign: Campaign) -> bool:
    """Whether somebody else than the operator named the servers. A file is the operator's own."""
    server = campaign.server
    return isinstance(server, ResolvedServer) and server.confined


def _access(
    spec: SmtpServer | ImapServer | None,
    *,
    host: str,
    port: int,
    security: Security,
    username: str | None,
    password: str | None,
    confined: bool,
) -> ServerAccess:
    token = spec is not None and spec.auth == "xoauth2"
    timeout = spec.timeout_seconds if isinstance(spec, SmtpServer) else 30.0
    return ServerAccess(
        host=host,
        port=port,
        security=security,
        username=username,
        password=None if token else password,
        timeout_seconds=timeout,
        oauth_token=password if token else None,
        confined=confined,
    )


def _no_server(campaign: Campaign, protocol: str) -> str:
    account = campaign.server.account
    if account is None:
        return f"The campaign names no {protocol} server."
    if isinstance(campaign.server, ResolvedServer) and campaign.server.terms is not None:
        return f"The mail account “{account}” has no {protocol} server."
    return f"There is no mail account “{account}” here."
