"""Send one letter of a campaign file to a tester, whoever it was meant for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid4

from app.mailer.domain.errors import CampaignInvalid, MailerError
from app.mailer.domain.issues import Severity
from app.mailer.domain.letters.letter import Letter
from app.mailer.domain.letters.recipients import Lists
from app.mailer.domain.mailbox import Mailbox
from app.mailer.ports import (
    Archiver,
    CampaignFiles,
    Clock,
    Envelope,
    MailTransport,
    Progress,
    Reply,
    TransportFailure,
)
from app.mailer.services.build import Built, build_letters, draft_job_id
from app.mailer.services.one_message import NotSent, send_one
from app.mailer.services.prepare import Prepared


class NotTaken(MailerError):
    """The mail server did not take a message; nothing was sent, unless the text says otherwise."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A letter with the tester in the place of all its recipients."""

    letter: Letter
    built: Built


def build_trial(
    prepared: Prepared,
    files: CampaignFiles,
    tester: Mailbox,
    *,
    entry_id: str | None,
    archive: Archiver,
    clock: Clock,
    progress: Progress,
) -> Trial:
    """The letter of `entry_id`, else the first that can be built, addressed to `tester` alone.

    Whoever stood in To, Cc or Bcc is in neither header nor envelope.
    """
    if prepared.blocked:
        raise CampaignInvalid([i for i in prepared.issues if i.severity is Severity.BLOCK])
    letter = _chosen(prepared, entry_id)
    letter.lists = Lists(reply_to=letter.lists.reply_to, to=(tester,))
    campaign_id = prepared.campaign.campaign.id
    only = replace(prepared, letters=[letter])
    for _letter, built in build_letters(
        only,
        files,
        archive=archive,
        build_id=uuid4(),
        job_id_of=lambda each: draft_job_id(campaign_id, each.id),
        now=clock.now,
        progress=progress,
    ):
        if built is not None:
            return Trial(letter, built)
    raise CampaignInvalid(letter.issues)


def send_trial(trial: Trial, tester: Mailbox, transport: MailTransport) -> Reply:
    """Hand it to a mail server, and hang up; `NotTaken` says why it would not have it."""
    assert trial.letter.sender is not None
    built = trial.built
    envelope = Envelope(trial.letter.sender.address, (tester.address,), built.frame.needs_smtputf8)
    try:
        return send_one(transport, envelope, built.size, built.chunks())
    except NotSent as error:
        raise NotTaken(error.reason, "Nothing was sent.") from error
    except TransportFailure as lost:
        raise NotTaken(
            lost.message, "The message may have arrived all the same: look before sending it again."
        ) from lost


def _chosen(prepared: Prepared, entry_id: str | None) -> Letter:
    for letter in prepared.letters:
        if entry_id is None:
            if letter.buildable:
                return letter
        elif letter.id == entry_id:
            if letter.buildable:
                return letter
            if letter.issues:
                raise CampaignInvalid(letter.issues)
            raise MailerError(
                f"The entry “{entry_id}” is {letter.state.value}.", "Choose another one."
            )
    if entry_id is None:
        raise MailerError(
            "No entry of this campaign can be built.", "Validate the campaign: that says why."
        )
    raise MailerError(f"There is no entry “{entry_id}”.", "Take an id from the campaign's entries.")
