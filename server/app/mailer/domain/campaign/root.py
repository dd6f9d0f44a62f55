"""The whole campaign file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as PydanticField

from app.mailer.domain.campaign.attachments import Attachments
from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.campaign.delivery import Delivery
from app.mailer.domain.campaign.entries import Entries
from app.mailer.domain.campaign.fields import Field
from app.mailer.domain.campaign.info import CampaignInfo
from app.mailer.domain.campaign.policy import ValidationPolicy
from app.mailer.domain.campaign.recipients import Recipients
from app.mailer.domain.campaign.server import Server
from app.mailer.domain.campaign.template import Template
from app.mailer.domain.campaign.values import Value


class Campaign(Block):
    """A campaign file, version 1.0."""

    version: Annotated[Literal["1.0"], key("Version", "The version of this format: `1.0`.", "1.0")]
    campaign: Annotated[
        CampaignInfo,
        key(
            "The campaign",
            "What the campaign is called and how far it may go.",
            {"id": "membership-2026", "name": "Membership cards 2026", "mode": "send"},
        ),
    ]
    fields: Annotated[
        list[Field],
        key(
            "Fields",
            "The values that letters may use. Default: none.",
            [{"name": "number", "type": "string", "required": True}],
        ),
    ] = PydanticField(default_factory=list)
    global_values: Annotated[
        dict[str, Value],
        key(
            "Global values",
            "Values of the global fields, by field name. Default: none.",
            {"year": 2026},
            repr=False,
        ),
    ] = PydanticField(default_factory=dict)
    server: Annotated[
        Server,
        key(
            "Mail server",
            "A stored mail account, or the servers. Default: none; a draft needs none.",
            {"account": "office"},
        ),
    ] = PydanticField(default_factory=Server)
    recipients: Annotated[
        Recipients,
        key(
            "Shared recipients",
            "The mailboxes of the whole campaign.",
            {"from": "Office <office@example.org>"},
        ),
    ] = PydanticField(default_factory=Recipients)
    template: Annotated[
        Template,
        key(
            "Letter",
            "What the letters say.",
            {"subject": "Your card", "text": {"path": "letter.txt"}},
        ),
    ] = PydanticField(default_factory=Template)
    attachments: Annotated[
        Attachments,
        key(
            "Files",
            "Which files travel with which letter. Default: none.",
            {"base_path": "files", "global": [{"file_filter": "${local::number}_*.pdf"}]},
        ),
    ] = PydanticField(default_factory=Attachments)
    entries: Annotated[
        Entries,
        key(
            "Individual recipients",
            "The individual recipients. Default: none.",
            {"source": {"type": "csv", "path": "members.csv"}},
        ),
    ] = PydanticField(default_factory=Entries)
    validation_policy: Annotated[
        ValidationPolicy,
        key(
            "Findings",
            "What each finding does to an entry.",
            {"duplicate_recipient": "block"},
        ),
    ] = PydanticField(default_factory=ValidationPolicy)
    delivery: Annotated[
        Delivery,
        key(
            "Sending",
            "How fast, how often and when.",
            {"rate_limit": {"messages_per_minute": 20}},
        ),
    ] = PydanticField(default_factory=Delivery)
