"""`campaign`: what the campaign is called and how far it may go."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.campaign.values import Filled

Mode: TypeAlias = Literal["draft", "test", "send"]


class CampaignInfo(Block):
    """The campaign itself."""

    id: Annotated[
        str,
        key(
            "Id",
            "Names the campaign for ever: importing the same id again makes a new version of it. "
            "Small letters, digits, dot, underscore and hyphen; at most 100 characters.",
            "membership-2026",
            pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$",
        ),
    ]
    name: Annotated[
        Filled,
        key("Name", "What people call it. Recipients never see it.", "Membership cards 2026"),
    ]
    description: Annotated[
        str,
        key(
            "Description",
            "What it is for, for colleagues. Default: none.",
            "Cards for all active members.",
        ),
    ] = ""
    mode: Annotated[
        Mode,
        key(
            "Mode",
            "`draft`: nothing ever leaves. `test`: every message goes to "
            "`delivery.test_recipients` alone. `send`: to the recipients. Default: `draft`.",
            "send",
        ),
    ] = "draft"
