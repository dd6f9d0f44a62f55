"""What the servers of a mail account offer, told as data for a screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.errors import MailerError
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import SentFolderFailure, ServerAccess, TransportFailure
from app.mailer.services.check_account import Probes

_MOST_WORDS, _LONGEST_WORD = 200, 200


def make_probes(hosts: HostRules) -> Probes:
    """Probes over real connections, into private networks only where `hosts` allow it."""

    def smtp(access: ServerAccess, _folder: str) -> dict[str, Any]:
        transport = SmtpTransport(access, hosts=hosts)
        try:
            facts = transport.check()
        except TransportFailure as failure:
            raise MailerError(_clean(failure.message)) from None
        finally:
            transport.close()
        return {
            "extensions": _words(facts.extensions),
            "size_limit": facts.size_limit,
            "mechanisms": _words(facts.mechanisms),
            "tls_version": facts.tls_version,
        }

    def imap(access: ServerAccess, folder: str) -> dict[str, Any]:
        account = ImapSentFolder(access, account_folder=folder, hosts=hosts)
        try:
            facts = account.check()
        except SentFolderFailure as failure:
            raise MailerError(_clean(failure.message)) from None
        finally:
            account.close()
        return {
            "capabilities": _words(facts.capabilities),
            "sent_folder": _clean(facts.folder),
            "tls_version": facts.tls_version,
        }

    return Probes(smtp, imap)


def _words(found: Iterable[str]) -> list[str]:
    """A stranger's words: bounded, and fit for any database and screen."""
    return [_clean(word)[:_LONGEST_WORD] for word in list(found)[:_MOST_WORDS]]


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
