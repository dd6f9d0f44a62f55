"""Rules of the campaign file that concern several keys at once, or need another module to decide.

Apart from the models on purpose: a model's own validator would hide every later fault.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator

from app.mailer.domain.campaign.delivery import is_reserved_header
from app.mailer.domain.campaign.fields import Field
from app.mailer.domain.campaign.json_text import escaped
from app.mailer.domain.campaign.root import Campaign
from app.mailer.domain.campaign.server import ResolvedServer
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.fields import BadCell, pattern_fault, read_cell
from app.mailer.domain.issues import Issue

_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[?::1\]?", re.IGNORECASE)


def check_campaign(campaign: Campaign, *, time_zones: Collection[str] | None = None) -> list[Issue]:
    """Every issue of a well-shaped campaign that needs no other file to be seen.

    `time_zones` are the IANA names that this machine knows; None leaves them unchecked. Entries
    and templates are checked where they are read. Severities are the usual ones: the campaign's
    policy is applied later.
    """
    return [
        *_fields(campaign),
        *_global_values(campaign),
        *_server(campaign),
        *_template(campaign),
        *_zip(campaign),
        *_source(campaign),
        *_delivery(campaign, time_zones),
    ]


def _issue(code: str, pointer: str, message: str, hint: str) -> Issue:
    return Issue(code, CODES[code].severity, pointer, message, hint)


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean “{near[0]}”?" if near else otherwise


def _repeated(names: Iterable[str], key: Callable[[str], str] = str) -> Iterator[tuple[int, str]]:
    """Index and name of each that stood earlier already."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if key(name) in seen:
            yield index, name
        seen.add(key(name))


# ---------------------------------------------------------------- fields and their values


def _fields(campaign: Campaign) -> Iterator[Issue]:
    for index, name in _repeated(field.name for field in campaign.fields):
        yield _issue(
            "invalid-value",
            f"/fields/{index}/name",
            f"The field “{name}” is declared twice.",
            "Delete one of them, or give it another name.",
        )
    for index, field in enumerate(campaign.fields):
        pattern = field.pattern
        if pattern is not None and (fault := pattern_fault(pattern)):
            yield _issue(
                "invalid-value",
                f"/fields/{index}/pattern",
                f"The pattern of “{field.name}” is not a regular expression: {fault}.",
                "For example [0-9]{4,6} for four to six digits.",
            )
            pattern = None
        if fault := _value_fault(field, field.default, pattern):
            yield _issue(
                "bad-cell",
                f"/fields/{index}/default",
                f"The default of “{field.name}”: {fault}",
                f"Give a value of the type {field.type}, or leave `default` out.",
            )


def _value_fault(field: Field, value: object, pattern: str | None) -> str:
    try:
        read_cell(field.type, value, pattern)
    except BadCell as error:
        return str(error)
    return ""


def _global_values(campaign: Campaign) -> Iterator[Issue]:
    by_name = {field.name: field for field in campaign.fields}
    known = [field.name for field in campaign.fields if field.is_global]
    for name, value in campaign.global_values.items():
        pointer = f"/global_values/{escaped(name)}"
        field = by_name.get(name)
        if field is None:
            yield _issue(
                "unknown-field",
                pointer,
                f"There is no field “{name}”.",
                _nearest(name, known, "Declare it in `fields` with the scope global."),
            )
        elif not field.is_global:
            yield _issue(
                "unknown-field",
                pointer,
                f"The field “{name}” is local: the campaign has no value for it.",
                "Give the field the scope both, or put the value into the entries.",
            )
        elif not (field.pattern and pattern_fault(field.pattern)) and (
            fault := _value_fault(field, value, field.pattern)
        ):
            yield _issue(
                "bad-cell",
                pointer,
                f"The value of “{name}”: {fault}",
                f"Give a value of the type {field.type}.",
            )
    for field in campaign.fields:
        given = campaign.global_values.get(field.name)
        needed = field.required and field.scope == "global"
        if needed and (field.default if given is None else given) in (None, ""):
            yield _issue(
                "missing-value",
                f"/global_values/{field.name}",
                f"The global field “{field.name}” is required and has no value.",
                "Add it to `global_values`, or give the field a default.",
            )


# ---------------------------------------------------------------- server


def _server(campaign: Campaign) -> Iterator[Issue]:
    server = campaign.server
    terms = server.terms if isinstance(server, ResolvedServer) else None
    if server.account is not None and terms is None and (server.smtp or server.imap):
        yield _issue(
            "invalid-value",
            "/server/account",
            f"“account” names the stored account “{server.account}”, but servers stand beside it.",
            "Keep either `account`, or `smtp` and `imap`.",
        )
    elif server.account is not None and terms is None and isinstance(server, ResolvedServer):
        yield _issue(
            "unknown-account",
            "/server/account",
            f"There is no mail account “{server.account}” that this campaign may use.",
            "Make one of this name, or name another one.",
        )
    if server.account is None and server.smtp is None and campaign.campaign.mode != "draft":
        yield _issue(
            "missing-key",
            "/server/smtp",
            f"Mode “{campaign.campaign.mode}” needs a server to send by, and there is none.",
            "Add `account` or `smtp` to `server`, or set the mode to draft.",
        )
    for name, access in (("smtp", server.smtp), ("imap", server.imap)):
        if (
            access is not None
            and access.security == "plain"
            and access.password
            and not _LOOPBACK.fullmatch(access.host)
        ):
            yield _issue(
                "plain-password",
                f"/server/{name}/security",
                f"The password for {access.host} would travel without encryption.",
                "Set `security` to starttls or tls.",
            )
    imap = server.imap
    if imap is not None and imap.enabled and not imap.host:
        yield _issue(
            "missing-key",
            "/server/imap/host",
            "The IMAP server is enabled, but has no host.",
            "Add `host`, or set `enabled` to false.",
        )
    known = server.account is None or terms is not None
    wants_copies = campaign.delivery.imap_append_sent.enabled and known
    if wants_copies and terms is not None and imap is None:
        yield _issue(
            "missing-key",
            "/server/account",
            f"Copies are to be kept in Sent, but the account “{terms.name}” has no IMAP server.",
            "Add it to the account, or set `delivery.imap_append_sent.enabled` to false.",
        )
    elif wants_copies and not (imap is not None and imap.enabled):
        yield _issue(
            "missing-key",
            "/server/imap",
            "Copies are to be kept in Sent, but no IMAP server is enabled.",
            "Add `imap` to `server`, or set `delivery.imap_append_sent.enabled` to false.",
        )


# ---------------------------------------------------------------- letter, files, table


def _template(campaign: Campaign) -> Iterator[Issue]:
    template, entries = campaign.template, campaign.entries
    all_have_subjects = (
        entries.source is None
        and bool(entries.inline)
        and all(entry.get("subject") for entry in entries.inline)
    )
    if not template.subject and not all_have_subjects:
        yield _issue(
            "missing-key",
            "/template/subject",
            "The letter has no subject.",
            "Add `subject` to `template`.",
        )
    if not template.text and not template.html:
        yield _issue(
            "missing-key",
            "/template/text",
            "The letter has neither text nor HTML.",
            'Add one of them to `template`, for example "text": {"path": "letter.txt"}.',
        )
    if template.inline_images and not template.html:
        yield _issue(
            "invalid-value",
            "/template/inline_images",
            "There are inline images, but no HTML that could show them.",
            "Add `html` to `template`, or attach the images as files.",
        )
    for index, cid in _repeated(image.cid for image in template.inline_images):
        yield _issue(
            "invalid-value",
            f"/template/inline_images/{index}/cid",
            f"Two inline images have the content id “{cid}”.",
            "Give each image an id of its own.",
        )


def _zip(campaign: Campaign) -> Iterator[Issue]:
    name = campaign.attachments.zip.only_if
    if name is None:
        return
    flags = [field.name for field in campaign.fields if field.type == "boolean"]
    if name not in flags:
        yield _issue(
            "invalid-value",
            "/attachments/zip/only_if",
            f"“only_if” names “{name}”, which is not a field of the type boolean.",
            _nearest(name, flags, "Declare it in `fields` with the type boolean."),
        )


def _source(campaign: Campaign) -> Iterator[Issue]:
    source = campaign.entries.source
    if source is None:
        return
    if source.kind is None:
        yield _issue(
            "missing-key",
            "/entries/source/type",
            f"The ending of “{source.path}” does not say what kind of table it is.",
            "Add `type`: csv, xlsx, json or jsonl.",
        )
    known = [field.name for field in campaign.fields if field.is_local]
    for name in source.mapping.values if source.mapping else ():
        if name not in known:
            yield _issue(
                "unknown-field",
                f"/entries/source/mapping/values/{escaped(name)}",
                f"The mapping names “{name}”, which is not a local field.",
                _nearest(name, known, "Declare it in `fields`, or delete it here."),
            )


# ---------------------------------------------------------------- delivery


def _delivery(campaign: Campaign, time_zones: Collection[str] | None) -> Iterator[Issue]:
    delivery = campaign.delivery
    if campaign.campaign.mode == "test" and not delivery.test_recipients:
        yield _issue(
            "missing-key",
            "/delivery/test_recipients",
            "Mode “test” sends to the test recipients alone, and there are none.",
            "Add `test_recipients` to `delivery`.",
        )
    names = list(delivery.headers)
    for name in names:
        if is_reserved_header(name):
            yield _issue(
                "reserved-header",
                f"/delivery/headers/{escaped(name)}",
                f"The program sets the header “{name}” itself.",
                "Delete it here; headers of your own usually begin with X-.",
            )
    for _, name in _repeated(names, str.lower):
        yield _issue(
            "invalid-value",
            f"/delivery/headers/{escaped(name)}",
            f"The header “{name}” is there twice; upper and lower case make no difference.",
            "Keep one of them.",
        )
    window = delivery.send_window
    if window is None:
        return
    if window.from_ == window.to:
        yield _issue(
            "invalid-value",
            "/delivery/send_window/to",
            f"The send window begins and ends at {window.to:%H:%M}, so nothing could leave.",
            "Set another end, or leave `send_window` out to send at any time.",
        )
    if time_zones is not None and window.timezone not in time_zones:
        yield _issue(
            "invalid-value",
            "/delivery/send_window/timezone",
            f"“{window.timezone}” is not a time zone.",
            _nearest(window.timezone, time_zones, "For example Europe/Berlin."),
        )
