"""Whether the servers that somebody else than the operator named are in a private network."""

from __future__ import annotations

from collections.abc import Callable

from app.mailer.domain.campaign import Campaign, ResolvedServer
from app.mailer.domain.codes import CODES
from app.mailer.domain.errors import MailerError
from app.mailer.domain.issues import Issue

_CODE = "private-host"


def private_host_issues(campaign: Campaign, refuse_private: Callable[[str], None]) -> list[Issue]:
    """`private-host` for a campaign's own servers; accounts are looked at where they are saved.

    Connecting looks again: a name may lead elsewhere by then.
    """
    server = campaign.server
    if not isinstance(server, ResolvedServer) or not server.confined or server.terms is not None:
        return []
    found = []
    for name, spec in (("smtp", server.smtp), ("imap", server.imap)):
        if spec is None or not spec.host:
            continue
        try:
            refuse_private(spec.host)
        except MailerError as error:
            found.append(
                Issue(
                    _CODE,
                    CODES[_CODE].severity,
                    f"/server/{name}/host",
                    error.message,
                    error.hint,
                )
            )
    return found
