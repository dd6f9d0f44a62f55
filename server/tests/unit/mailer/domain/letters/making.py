"""Letters for tests: a campaign compiled from a document, checked without any file."""

from __future__ import annotations

from typing import Any

from app.mailer.domain.campaign import FileText
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.entries.entry import entries_from_inline
from app.mailer.domain.letters.check import check_letter
from app.mailer.domain.letters.compiled import CompiledCampaign, TemplateTexts
from app.mailer.domain.letters.compiling import compile_campaign
from app.mailer.domain.letters.letter import Letter

from ..campaign.documents import draft


def compiled(**parts: Any) -> CompiledCampaign:
    """A campaign from Office, with `Hello` as its subject and text where `parts` say no other."""
    raw = draft(
        **{
            "recipients": {"from": "Office <office@example.org>"},
            "template": {"subject": "Hello", "text": "Hello"},
            **parts,
        }
    )
    campaign, issues = read_shape_of(raw)
    assert campaign is not None, issues
    template = campaign.template
    texts = [
        f"${{{source.path}}}" if isinstance(source, FileText) else source
        for source in (template.subject, template.text, template.html)
    ]
    return compile_campaign(campaign, TemplateTexts(*texts))


def checked(*entries: dict[str, Any], **parts: Any) -> list[Letter]:
    """The letters of these entries."""
    campaign = compiled(entries={"inline": list(entries)}, **parts)
    return [
        check_letter(campaign, entry)
        for entry in entries_from_inline(campaign.campaign.entries.inline, campaign.local_fields)
    ]
