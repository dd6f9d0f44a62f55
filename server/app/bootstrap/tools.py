"""What works on campaign files alone, without a database.

Apart from `program`, so that a command for files does not load the database's libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.mailer.adapters.archive import ZipArchiver
from app.mailer.adapters.campaign_files import DiskCampaignFiles
from app.mailer.adapters.clock import SystemClock
from app.mailer.adapters.pdf_text import pdf_text
from app.mailer.adapters.recording import RecordingTransport
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import Archiver, Clock, MailTransport, PdfText, ServerAccess
from app.mailer.services.server_access import SmtpOverrides
from app.settings import Settings, get_settings


@dataclass(frozen=True)
class Tools:
    """What works on campaign files alone, without a database."""

    clock: Clock
    pdf_text: PdfText
    archive: Archiver
    files_of: Callable[[Path, Path | None], DiskCampaignFiles]
    connect: Callable[[ServerAccess], MailTransport]
    record: Callable[[], RecordingTransport]


def make_tools(hosts: HostRules | None = None) -> Tools:
    """The real tools of this machine; `hosts` is where servers that others named may be."""
    return Tools(
        clock=SystemClock(),
        pdf_text=pdf_text,
        archive=ZipArchiver(),
        files_of=DiskCampaignFiles,
        connect=partial(SmtpTransport, hosts=hosts),
        record=RecordingTransport,
    )


def make_host_rules(settings: Settings) -> HostRules:
    """Which private hosts mail accounts may have: all in development, else those of the setting."""
    return HostRules.of(settings.allowed_private_hosts, everything=settings.is_dev)


def make_overrides(settings: Settings | None = None) -> SmtpOverrides:
    """The five `MULTIMAILER_SMTP_*` variables."""
    settings = settings or get_settings()
    password = settings.smtp_password
    return SmtpOverrides(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=password.get_secret_value() if password is not None else None,
    )
