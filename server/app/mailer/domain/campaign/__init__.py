"""The shape of the campaign file as models; attribute names are the file's keys.

`from` and `global` are Python keywords and so `from_` and `global_` here. The published JSON
Schema is generated from these (`schema.campaign_schema`); what the models cannot say by
themselves is checked by `check.check_campaign`.
"""

from app.mailer.domain.campaign.attachments import Attachments, OnAmbiguous, Rule, Zip, ZipMethod
from app.mailer.domain.campaign.delivery import (
    DAYS,
    RESERVED_HEADERS,
    AppendSent,
    Day,
    Delivery,
    RateLimit,
    Retry,
    SendWindow,
    is_reserved_header,
)
from app.mailer.domain.campaign.entries import (
    Columns,
    Entries,
    EntrySpec,
    Mapping_,
    Source,
    SourceType,
)
from app.mailer.domain.campaign.fields import Field, FieldScope, FieldType
from app.mailer.domain.campaign.info import CampaignInfo, Mode
from app.mailer.domain.campaign.policy import ValidationPolicy
from app.mailer.domain.campaign.recipients import Combine, Recipients
from app.mailer.domain.campaign.root import Campaign
from app.mailer.domain.campaign.server import (
    ImapServer,
    ResolvedServer,
    SecurityMode,
    Server,
    SmtpServer,
)
from app.mailer.domain.campaign.template import (
    Engine,
    FileText,
    InlineImage,
    Template,
    TextSource,
)
from app.mailer.domain.campaign.values import MailboxList, MailboxObject, MailboxSpec, Value

__all__ = [
    "DAYS",
    "RESERVED_HEADERS",
    "AppendSent",
    "Attachments",
    "Campaign",
    "CampaignInfo",
    "Columns",
    "Combine",
    "Day",
    "Delivery",
    "Engine",
    "Entries",
    "EntrySpec",
    "Field",
    "FieldScope",
    "FieldType",
    "FileText",
    "ImapServer",
    "InlineImage",
    "MailboxList",
    "MailboxObject",
    "MailboxSpec",
    "Mapping_",
    "Mode",
    "OnAmbiguous",
    "RateLimit",
    "Recipients",
    "ResolvedServer",
    "Retry",
    "Rule",
    "SecurityMode",
    "SendWindow",
    "Server",
    "SmtpServer",
    "Source",
    "SourceType",
    "Template",
    "TextSource",
    "ValidationPolicy",
    "Value",
    "Zip",
    "ZipMethod",
    "is_reserved_header",
]
