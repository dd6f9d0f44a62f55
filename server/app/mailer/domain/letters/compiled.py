"""A campaign made ready for its entries: every template compiled, every policy looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.mailer.domain.campaign import Campaign, Rule
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.entry import LocalFields
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.recipients import CombineFlags
from app.mailer.domain.mailbox import Mailbox
from app.mailer.domain.templates.placeholders import Declared, Problem, Template, Values

Rows = Sequence[Mapping[str, str]]


class Text(Protocol):
    """A subject or a body of either engine, rendered for one entry."""

    @property
    def problems(self) -> Sequence[Problem]: ...
    @property
    def names(self) -> frozenset[str]: ...
    @property
    def uses_rows(self) -> bool: ...
    def missing(self, values: Values, rows: Rows, /) -> tuple[str, ...]: ...
    def render(self, values: Values, rows: Rows, /) -> str: ...


@dataclass(frozen=True, slots=True)
class MailboxTemplate:
    """A mailbox as the campaign file has it, its name and its address apart.

    They are filled in apart, so that no value in the name can pass for an address. `constant` is
    the mailbox where no placeholder is in it; `broken`: it was found wrong, and said so, once.
    """

    name: Template | None
    email: Template
    constant: Mailbox | None = None
    broken: bool = False

    @property
    def templates(self) -> tuple[Template, ...]:
        return (self.email,) if self.name is None else (self.name, self.email)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """An attachment rule; `own` for an entry's own."""

    label: str
    pointer: str
    rule: Rule
    base_dir: Template
    pattern: Template
    filename: Template | None
    expect_text: tuple[Template, ...]
    own: bool
    #: It uses a secret value, so that no message may name its pattern or its files.
    confidential: bool
    #: Its folder, pattern or file name does, so that no list may name its files.
    secret_name: bool

    @property
    def personal(self) -> bool:
        """Whether it picks files for one entry: two entries that share one would be a mistake."""
        return self.own or self.base_dir.uses_local or self.pattern.uses_local

    @property
    def templates(self) -> tuple[Template, ...]:
        name = () if self.filename is None else (self.filename,)
        return (self.base_dir, self.pattern, *name, *self.expect_text)


@dataclass(frozen=True, slots=True)
class TemplateTexts:
    """The template with its files read; None for a part that the campaign does not have."""

    subject: str | None
    text: str | None
    html: str | None


@dataclass(slots=True)
class CompiledCampaign:
    """What `letter` needs to know of a campaign; `issues` are those of no one entry."""

    campaign: Campaign
    declared: Declared
    global_values: Mapping[str, str]
    subject: Text | None
    text: Text | None
    html: Text | None
    from_: MailboxTemplate | None
    reply_to: tuple[MailboxTemplate, ...]
    to: tuple[MailboxTemplate, ...]
    cc: tuple[MailboxTemplate, ...]
    bcc: tuple[MailboxTemplate, ...]
    rules: tuple[CompiledRule, ...]
    headers: tuple[tuple[str, Template], ...]
    zip_filename: Template | None
    zip_password: Template | None
    local_fields: LocalFields
    combine_flags: CombineFlags
    #: In mode `test`, everybody's letter goes to these alone.
    test_recipients: tuple[Mailbox, ...] | None
    secret_names: frozenset[str]
    text_of: Callable[[str], Text]
    issues: list[Issue] = field(default_factory=list)

    @property
    def uses_rows(self) -> bool:
        return any(text.uses_rows for text in self._texts)

    @property
    def must_agree(self) -> frozenset[str] | None:
        """The fields whose values have to be the same in all rows of a group (None: all).

        A Jinja2 template may list what differs; everything else can show one value only.
        """
        if not self.uses_rows:
            return None
        mailboxes = (*self.reply_to, *self.to, *self.cc, *self.bcc)
        templates = [template for rule in self.rules for template in rule.templates]
        templates += [template for _name, template in self.headers]
        templates += [template for mailbox in mailboxes for template in mailbox.templates]
        templates += self.from_.templates if self.from_ is not None else ()
        templates += [each for each in (self.zip_filename, self.zip_password) if each is not None]
        only_if = self.campaign.attachments.zip.only_if
        return frozenset([] if only_if is None else [only_if]).union(
            *(text.names for text in self._texts), *(template.names for template in templates)
        )

    @property
    def _texts(self) -> list[Text]:
        return [text for text in (self.subject, self.text, self.html) if text is not None]

    def judge(self, issues: Sequence[Issue]) -> list[Issue]:
        """The issues with the campaign's policy applied; what it ignores is left out."""
        judged = []
        for issue in issues:
            severity = self.severity_of(issue.code, issue.severity)
            if severity is not Severity.IGNORE:
                judged.append(
                    issue if severity is issue.severity else issue.with_severity(severity)
                )
        return judged

    def severity_of(self, code: str, otherwise: Severity | None = None) -> Severity:
        """What a finding of this code does to its entry in this campaign."""
        info = CODES[code]
        if info.policy is None:
            return otherwise or info.severity
        return self.campaign.validation_policy.severity_for(info.policy)
