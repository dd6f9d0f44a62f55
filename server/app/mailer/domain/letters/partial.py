"""Checking one section of a campaign that somebody is still writing.

Only what concerns the section is said, and nothing that is missing elsewhere stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from app.mailer.domain.campaign import Campaign, EntrySpec, FileText, ResolvedServer
from app.mailer.domain.campaign.check import check_campaign
from app.mailer.domain.campaign.shape import read_shape_of, readable_part
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.entry import check_ids, entries_from_inline
from app.mailer.domain.issues import Issue
from app.mailer.domain.letters.check import check_letter
from app.mailer.domain.letters.compiled import CompiledCampaign, TemplateTexts
from app.mailer.domain.letters.compiling import compile_campaign, jinja_not_allowed
from app.mailer.domain.letters.senders import check_senders

#: Recipients written in the file that are looked at while it is edited; validating takes them all.
MAX_ENTRIES = 1000


class Section(StrEnum):
    """The parts of a campaign as an editor shows them."""

    BASICS = "basics"
    SENDER = "sender"
    FIELDS = "fields"
    RECIPIENTS = "recipients"
    ENTRIES = "entries"
    TEMPLATE = "template"
    ATTACHMENTS = "attachments"
    SERVER = "server"
    DELIVERY = "delivery"
    POLICY = "policy"
    ALL = "all"


class NotChecked(StrEnum):
    """What a section refers to, and only a validation of the whole campaign looks at."""

    FILES = "files"
    ENTRIES = "entries"


@dataclass(frozen=True, slots=True)
class SectionFindings:
    """What is wrong in a section, and what of it nobody looked at."""

    issues: list[Issue]
    not_checked: list[NotChecked]


_SENDER = ("/recipients/from", "/recipients/reply_to", "/recipients/combine/reply_to")
_PLACES: Mapping[Section, tuple[str, ...]] = {
    Section.BASICS: ("/version", "/campaign"),
    Section.SENDER: _SENDER,
    Section.FIELDS: ("/fields", "/global_values"),
    Section.RECIPIENTS: ("/recipients", "/entries"),
    Section.ENTRIES: ("/recipients", "/entries"),
    Section.TEMPLATE: ("/template",),
    Section.ATTACHMENTS: ("/attachments",),
    Section.SERVER: ("/server",),
    Section.DELIVERY: ("/delivery",),
    Section.POLICY: ("/validation_policy",),
}
#: An editor's name for the section, and the file's.
_RECIPIENTS = frozenset({Section.RECIPIENTS, Section.ENTRIES})
#: What an entry lacks may be the fault of another section, which says it there.
_OF_ENTRIES = _RECIPIENTS | {Section.ALL}


def check_section(
    config: Mapping[str, Any],
    section: Section,
    *,
    time_zones: Collection[str] | None,
    jinja_allowed: bool,
    resolve: Callable[[Campaign], Campaign],
) -> SectionFindings:
    """What is wrong in a section of a draft, secrets in their places; no file is opened.

    `resolve` puts in the servers that the draft sends by. Of recipients in a table nothing is
    said, of those in the file the first `MAX_ENTRIES` are looked at.
    """
    _campaign, issues = read_shape_of(config)
    found = [issue for issue in issues if _concerns(issue.pointer, section)]
    sound = _sound_part(config, issues)
    campaign = readable_part(sound)
    if campaign is None:
        return SectionFindings(found, list(NotChecked))
    broken = tuple(f"/{key}" for key in config if key not in sound)
    for issue in _findings(resolve(campaign), section, time_zones, jinja_allowed):
        # A section that cannot be read was left out, and what only that causes is no fault.
        if issue.pointer.startswith(broken) or not _concerns(issue.pointer, section):
            continue
        if "/fields" in broken and issue.code in ("unknown-field", "unknown-placeholder"):
            continue
        found.append(issue)
    return SectionFindings(found, list(_not_checked(campaign, section)))


def _not_checked(campaign: Campaign, section: Section) -> Iterator[NotChecked]:
    template, entries = campaign.template, campaign.entries
    texts = (template.subject, template.text, template.html)
    in_template = any(isinstance(text, FileText) for text in texts) or template.inline_images
    in_entries = entries.source or any(entry.get("attachments") for entry in entries.inline)
    if (
        (section in (Section.TEMPLATE, Section.ALL) and in_template)
        or (section in (Section.ATTACHMENTS, Section.ALL) and campaign.attachments.global_)
        or (section in _OF_ENTRIES and in_entries)
    ):
        yield NotChecked.FILES
    looked_at = template.engine == "placeholders" and len(entries.inline) <= MAX_ENTRIES
    if section in _OF_ENTRIES and (entries.source or (entries.inline and not looked_at)):
        yield NotChecked.ENTRIES


def _concerns(pointer: str, section: Section) -> bool:
    if section is Section.ALL:
        return True
    if section in _RECIPIENTS and pointer.startswith(_SENDER):
        return False
    # What is wrong with the file as a whole concerns everybody.
    return pointer == "" or any(
        pointer == place or pointer.startswith(f"{place}/") for place in _PLACES[section]
    )


def _sound_part(config: Mapping[str, Any], issues: list[Issue]) -> dict[str, Any]:
    """The file without the sections that cannot be read; an unknown key is no reason for that,
    but in the fields."""
    broken = {
        issue.pointer.split("/")[1]
        for issue in issues
        if issue.pointer and (issue.code != "unknown-key" or issue.pointer.startswith("/fields/"))
    }
    return {key: value for key, value in config.items() if key not in broken}


def _findings(
    campaign: Campaign,
    section: Section,
    time_zones: Collection[str] | None,
    jinja_allowed: bool,
) -> Iterator[Issue]:
    readable = jinja_allowed or campaign.template.engine != "jinja2"
    template = campaign.template
    parts = (template.subject, template.text, template.html) if readable else (None, None, None)
    texts = TemplateTexts(*(part if isinstance(part, str) else None for part in parts))
    compiled = compile_campaign(campaign, texts)
    yield from compiled.judge(check_campaign(campaign, time_zones=time_zones))
    yield from compiled.issues
    server = campaign.server
    if isinstance(server, ResolvedServer) and server.terms is not None and compiled.from_:
        yield from check_senders(server.terms, compiled.from_.constant, [])
    if not readable:
        yield jinja_not_allowed()
    if section in _OF_ENTRIES and template.engine == "placeholders":
        yield from _of_entries(compiled, campaign)
    inline = campaign.entries.inline
    own_senders = bool(inline) and all(entry.get("from") for entry in inline)
    if section is Section.SENDER and campaign.recipients.from_ is None and not own_senders:
        yield Issue(
            "invalid-sender",
            CODES["invalid-sender"].severity,
            "/recipients/from",
            "There is no sender.",
            "Fill in `recipients.from`.",
        )


def _of_entries(compiled: CompiledCampaign, campaign: Campaign) -> Iterator[Issue]:
    specs: list[EntrySpec] = list(islice(campaign.entries.inline, MAX_ENTRIES))
    entries = list(entries_from_inline(specs, compiled.local_fields))
    check_ids(entries)
    for entry in entries:
        yield from check_letter(compiled, entry).issues
    if not entries and campaign.entries.source is None:
        yield Issue(
            "no-entries",
            CODES["no-entries"].severity,
            "/entries",
            "The campaign has no recipients.",
            "Add entries under `entries.inline`, or a table under `entries.source`.",
        )
