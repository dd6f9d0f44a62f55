"""One entry against its campaign: who gets it, what stands in it, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.mailer.domain.entries.entry import Entry
from app.mailer.domain.entries.fields import typed
from app.mailer.domain.files.attachments import MASK, ChosenFile
from app.mailer.domain.issues import EntryState, Issue, state_of
from app.mailer.domain.letters.compiled import CompiledCampaign, Text
from app.mailer.domain.letters.recipients import Lists, envelope_recipients
from app.mailer.domain.mailbox import Mailbox, control_character
from app.mailer.domain.mime.message import Attached, Draft, InlineImage
from app.mailer.domain.templates.placeholders import TemplateFailed, Values


@dataclass(slots=True)
class Letter:
    """An entry checked. 100,000 of them are held at once, so bodies are rendered again at build.

    `wanted` are the recipients that the campaign means, `lists` those that get it (in mode `test`
    the test recipients). `issues` already follow the campaign's policy.
    """

    entry: Entry
    sender: Mailbox | None = None
    wanted: Lists = field(default_factory=Lists)
    lists: Lists = field(default_factory=Lists)
    issues: list[Issue] = field(default_factory=list)
    files: tuple[ChosenFile, ...] = ()

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def state(self) -> EntryState:
        return state_of(self.issues, active=self.entry.active)

    @property
    def buildable(self) -> bool:
        """Whether there is a message to show: not for inactive, excluded and blocked entries."""
        return self.state in (EntryState.READY, EntryState.WARNING, EntryState.NEEDS_REVIEW)

    @property
    def envelope(self) -> tuple[str, ...]:
        return envelope_recipients(self.lists)


def wants_archive(compiled: CompiledCampaign, entry: Entry) -> bool:
    """Whether this entry's files travel in one archive."""
    zip_ = compiled.campaign.attachments.zip
    if not zip_.enabled:
        return False
    if zip_.only_if is None:
        return True
    values = values_of(compiled, entry)
    text = values.local.get(zip_.only_if) or values.global_.get(zip_.only_if, "")
    return bool(typed("boolean", text))


def archive_terms(compiled: CompiledCampaign, entry: Entry) -> tuple[str, str | None]:
    """The archive's file name and password for an entry."""
    values = values_of(compiled, entry)
    name = compiled.zip_filename.render(values) if compiled.zip_filename else "attachments.zip"
    password = compiled.zip_password.render(values) if compiled.zip_password else None
    return name, password


def shown_subject(compiled: CompiledCampaign, entry: Entry) -> str:
    """The subject for lists and reports: a secret value in it is masked, a line break a blank."""
    text = subject_of(compiled, entry)
    secrets = compiled.secret_names
    if text is None:
        return ""
    values, rows = values_of(compiled, entry), entry.rows
    # Jinja2 can come by a value without spelling its name.
    jinja = compiled.campaign.template.engine == "jinja2"
    if secrets and (jinja or secrets & text.names):
        values = Values(_masked(values.local, secrets), _masked(values.global_, secrets))
        rows = tuple(_masked(row, secrets) for row in rows)
    try:
        return _one_line(text.render(values, rows))
    except TemplateFailed:
        return ""


def compose(
    compiled: CompiledCampaign,
    letter: Letter,
    *,
    date: datetime,
    message_id: str,
    images: Sequence[InlineImage],
    attachments: Sequence[Attached],
) -> Draft:
    """The message of a letter that is `buildable`; raises `TemplateFailed` as its check did."""
    assert letter.sender is not None
    entry = letter.entry
    values = values_of(compiled, entry)
    subject = subject_of(compiled, entry)
    html = compiled.html.render(values, entry.rows) if compiled.html is not None else None
    return Draft(
        sender=letter.sender,
        reply_to=letter.lists.reply_to,
        to=letter.lists.to,
        cc=letter.lists.cc,
        bcc=letter.lists.bcc,
        subject=_one_line(subject.render(values, entry.rows)) if subject else "",
        date=date,
        message_id=message_id,
        text=compiled.text.render(values, entry.rows) if compiled.text is not None else None,
        html=html,
        headers=tuple(
            (name, _one_line(template.render(values))) for name, template in compiled.headers
        ),
        inline_images=tuple(images) if html is not None else (),
        attachments=tuple(attachments),
    )


def values_of(compiled: CompiledCampaign, entry: Entry) -> Values:
    return Values(entry.values, compiled.global_values)


def subject_of(compiled: CompiledCampaign, entry: Entry) -> Text | None:
    if entry.subject is None:
        return compiled.subject
    return compiled.text_of(entry.subject)


def _masked(values: Mapping[str, str], secrets: frozenset[str]) -> dict[str, str]:
    return {name: MASK if name in secrets and text else text for name, text in values.items()}


def _one_line(text: str) -> str:
    """A header's text with every control character as a blank; a policy may let such ones pass."""
    if control_character(text) is None:
        return text
    return "".join(" " if control_character(char) else char for char in text)
