"""Mailboxes: a mail address with the name of its owner (RFC 5322, 3.4; RFC 6531).

People write them in many ways, so reading is generous with names and strict with addresses. What
comes out is safe to put into an SMTP command or a header: it holds no control character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import email_validator
import idna

# Letters also go to intranets (example.local, localhost): the library's documented way to allow it.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

LOCAL_MAX_OCTETS = 64  # RFC 5321, 4.5.3.1.1
ADDRESS_MAX_OCTETS = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
_VALUE_MAX_CHARACTERS = 2000

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LINE_BREAKS = frozenset("\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+"
# Labels with "--" in third place (A-labels among them) and a numeric last label take the slow path.
_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_ADDRESS = re.compile(
    rf"(?P<local>{_ATEXT}(?:\.{_ATEXT})*)@(?P<domain>(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL})"
)
# Possessive, since a cell of a thousand blanks and brackets must not take minutes.
_ANGLE = re.compile(
    r"""(?P<name>.*?) < (?P<address> \s*+ "(?:[^"\\]|\\.)*+" @ [^<>"]*+ | [^<>]*+ ) >""",
    re.VERBOSE,
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_NAME_SPECIALS = frozenset('"\\<>@,;:()[].')


class InvalidMailbox(ValueError):
    """The value is not one mailbox; the message is a sentence for a person, with the value."""


class HeaderInjection(InvalidMailbox):
    """The value has a line break or another control character, which could forge a header."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox. Made by `parse_mailbox`, which is what makes it safe.

    `local` is kept as written (NFC), `domain` is in lower-case A-labels (IDNA 2008), `name` is
    plain text, not quoted and not encoded. `str()` gives a form that `parse_mailbox` reads back.
    """

    local: str
    domain: str
    name: str = ""

    @property
    def address(self) -> str:
        """`local@domain`, as SMTP takes it (RFC 5321, 4.1.2)."""
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """What two mailboxes share that reach the same person: the address without case.

        Lower case, not `casefold`, which would take `strauß@` and `strauss@` for one person.
        """
        return self.address.lower()

    @property
    def needs_smtputf8(self) -> bool:
        return not self.local.isascii()

    @property
    def display(self) -> str:
        """For people: the name, and the domain in its own script."""
        domain = self.domain
        if "xn--" in domain:
            domain = idna.decode(domain)
        address = f"{self.local}@{domain}"
        return f"{self.name} <{address}>" if self.name else address

    def __str__(self) -> str:
        if not self.name:
            return self.address
        name = self.name
        if not _NAME_SPECIALS.isdisjoint(name):
            name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{name} <{self.address}>"


def control_character(text: str) -> str | None:
    """What makes `text` unfit for a header, in words (`a line break`), or None if it is fit."""
    found = _UNSAFE.search(text)
    if found is None:
        return None
    character = found.group()
    if character in _LINE_BREAKS:
        return "a line break"
    if "\ud800" <= character <= "\udfff":
        return f"half a character (U+{ord(character):04X})"
    return f"a control character (U+{ord(character):04X})"


def parse_mailbox(value: str | Mapping[str, object]) -> Mailbox:
    """Read one mailbox: `ada@example.org`, `Ada <ada@example.org>` or `{"email": …, "name": …}`.

    A name may hold a comma without quotes. Raises `InvalidMailbox`, and its subclass
    `HeaderInjection` for a line break or control character anywhere.
    """
    if isinstance(value, str):
        return _parse_text(value)
    if not isinstance(value, Mapping):
        raise InvalidMailbox('A mailbox is text, or an object with "email" and "name".')
    email, name = value.get("email"), value.get("name") or ""
    if not isinstance(email, str) or not isinstance(name, str):
        raise InvalidMailbox('A mailbox as an object needs "email", and both keys are text.')
    _refuse_control_characters(email)
    _refuse_control_characters(name)
    return _mailbox(email.strip(), name.strip())


def _parse_text(value: str) -> Mailbox:
    _refuse_control_characters(value)
    text = value.strip()
    if not text.endswith(">"):
        return _mailbox(text, "")
    found = _ANGLE.fullmatch(text) if len(text) <= _VALUE_MAX_CHARACTERS else None
    if found is None:
        raise InvalidMailbox(f"{_shown(text)} is not a mailbox like “Ada <ada@example.org>”.")
    name = found["name"].strip()
    if quoted := _QUOTED.fullmatch(name):
        name = _ESCAPED.sub(r"\1", quoted[1]).strip()
    elif "<" in name or ">" in name or ("@" in name and ("," in name or ";" in name)):
        raise InvalidMailbox(f"{_shown(text)} holds several addresses where one is expected.")
    return _mailbox(found["address"].strip(), name)


def _mailbox(address: str, name: str) -> Mailbox:
    if len(name) > _VALUE_MAX_CHARACTERS:
        raise InvalidMailbox(f"The name {_shown(name)} is too long.")
    plain = _PLAIN_ADDRESS.fullmatch(address)
    if plain is not None:
        local, domain = plain["local"], plain["domain"].lower()
    else:
        local, domain = _unusual_address(address)
    if "=?" in local:  # legal, but readers would decode what follows (RFC 2047)
        raise InvalidMailbox(f"{_shown(address)} holds “=?”, which begins encoded text in mail.")
    if len(local.encode()) > LOCAL_MAX_OCTETS:
        raise InvalidMailbox(
            f"{_shown(address)} is too long before the @-sign (at most {LOCAL_MAX_OCTETS} bytes)."
        )
    if len(local.encode()) + 1 + len(domain) > ADDRESS_MAX_OCTETS:
        raise InvalidMailbox(f"{_shown(address)} is too long (at most {ADDRESS_MAX_OCTETS} bytes).")
    return Mailbox(local, domain, name)


def _unusual_address(address: str) -> tuple[str, str]:
    """Local part and domain of what the plain pattern does not know, or the reason why not."""
    if not address:
        raise InvalidMailbox("The address is empty.")
    if len(address) > _VALUE_MAX_CHARACTERS:
        raise InvalidMailbox(f"{_shown(address)} is too long.")
    if "," in address or ";" in address:
        parts = [part for part in re.split("[,;]", address) if part.strip()]
        if len(parts) > 1 and all("@" in part for part in parts):
            raise InvalidMailbox(
                f"{_shown(address)} holds several addresses where one is expected."
            )
    try:
        found = email_validator.validate_email(
            address,
            allow_quoted_local=True,
            check_deliverability=False,
            globally_deliverable=False,
        )
    except email_validator.EmailNotValidError as error:
        raise InvalidMailbox(f"{_shown(address)} is not a mail address. {error}") from error
    for part in (found.local_part, *found.domain.split(".")):
        if mixed := _mixed_scripts(part):
            raise InvalidMailbox(
                f"{_shown(address)} mixes {mixed} letters in “{part}”; some look alike."
            )
    local, domain = found.local_part, found.ascii_domain
    if domain.rpartition(".")[2].isdigit():
        raise InvalidMailbox(f"{_shown(address)} names an IP address instead of a mail domain.")
    return unicodedata.normalize("NFC", local), domain.lower()


def _mixed_scripts(text: str) -> str:
    """The alphabets that look alike, where one word has letters of several (UTS 39), or ""."""
    if text.isascii():
        return ""
    names = {unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()}
    found = sorted(names & {"LATIN", "CYRILLIC", "GREEK"})
    return " and ".join(name.capitalize() for name in found) if len(found) > 1 else ""


def _refuse_control_characters(text: str) -> None:
    fault = control_character(text)
    if fault is not None:
        raise HeaderInjection(f"{_shown(text)} has {fault}, which a mailbox must not hold.")


def _shown(text: str) -> str:
    short = text if len(text) <= 100 else text[:99] + "…"
    return "“" + _UNSAFE.sub(lambda found: repr(found.group())[1:-1], short) + "”"
