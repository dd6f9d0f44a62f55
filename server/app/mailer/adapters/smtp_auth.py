"""Logging in to an SMTP server: PLAIN (RFC 4616), LOGIN and XOAUTH2 in AUTH (RFC 4954)."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass, field

from app.mailer.ports import ServerAccess


class CannotLogIn(Exception):
    """No way to log in that both sides know, or credentials that cannot be sent."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The lines to say, one after each 334. All but the first word of `first` is secret."""

    first: str = field(repr=False)
    answers: tuple[str, ...] = field(default=(), repr=False)


def dialogue(access: ServerAccess, offered: Collection[str]) -> Dialogue:
    """What to say to log in, by the best mechanism of those offered (names in upper case)."""
    user, password, token = access.username or "", access.password, access.oauth_token
    if not user:
        raise CannotLogIn("There is a password, but no user name.")
    if not (password or token):
        raise CannotLogIn(f"There is no password for the user “{user}”.")
    if any(mark in f"{user}{password}{token}" for mark in "\0\r\n"):
        raise CannotLogIn("The user name or the password has a line break or a NUL in it.")
    if not offered:
        raise CannotLogIn(
            "The server offers no login here. Is security “starttls” meant, or no user name?"
        )
    if token:
        if "XOAUTH2" not in offered:
            raise CannotLogIn(f"The server does not offer XOAUTH2, only {_list(offered)}.")
        bearer = _base64(f"user={user}\1auth=Bearer {token}\1\1")
        # The empty answer acknowledges the server's explanation of a refusal.
        return Dialogue(f"AUTH XOAUTH2 {bearer}", ("",))
    assert password
    if "PLAIN" in offered:
        credentials = _base64(f"\0{user}\0{password}")
        return Dialogue(f"AUTH PLAIN {credentials}")
    if "LOGIN" in offered:
        return Dialogue("AUTH LOGIN", (_base64(user), _base64(password)))
    raise CannotLogIn(f"The server offers {_list(offered)} to log in; PLAIN or LOGIN is needed.")


def without_secrets(text: str, said: Dialogue, access: ServerAccess) -> str:
    """The server's text less anything secret: some servers repeat the line they refuse."""
    secrets = [access.password, access.oauth_token, *said.answers, *said.first.split()[2:]]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
