from __future__ import annotations

import base64

import pytest

from app.mailer.adapters.smtp_auth import CannotLogIn, dialogue, without_secrets
from app.mailer.ports import Security, ServerAccess


def _access(
    username: str | None = "anna", password: str | None = "pässword", token: str | None = None
) -> ServerAccess:
    return ServerAccess(
        "mail.example.org", 587, Security.STARTTLS, username, password, oauth_token=token
    )


def _plain(text: str) -> str:
    return base64.b64decode(text).decode()


def test_plain_is_preferred() -> None:
    said = dialogue(_access(), ["LOGIN", "PLAIN"])
    assert said.first.startswith("AUTH PLAIN ")
    assert _plain(said.first.split()[2]) == "\0anna\0pässword"
    assert said.answers == ()


def test_login_where_plain_is_not_offered() -> None:
    said = dialogue(_access(), ["CRAM-MD5", "LOGIN"])
    assert said.first == "AUTH LOGIN"
    assert [_plain(answer) for answer in said.answers] == ["anna", "pässword"]


def test_a_token_means_xoauth2_and_nothing_else() -> None:
    said = dialogue(_access(token="t0k"), ["PLAIN", "XOAUTH2"])
    assert _plain(said.first.split()[2]) == "user=anna\1auth=Bearer t0k\1\1"
    assert said.answers == ("",)
    with pytest.raises(CannotLogIn, match="XOAUTH2, only PLAIN"):
        dialogue(_access(token="t0k"), ["PLAIN"])


@pytest.mark.parametrize(
    ("access", "offered", "message"),
    [
        (_access(), [], "no login here"),
        (_access(), ["CRAM-MD5", "GSSAPI"], "CRAM-MD5, GSSAPI"),
        (_access(password=None), ["PLAIN"], "no password"),
        (_access(username=None), ["PLAIN"], "no user name"),
        (_access(password="a\r\nRSET"), ["LOGIN"], "line break"),
        (_access(username="a\0b"), ["PLAIN"], "NUL"),
    ],
)
def test_no_way_to_log_in(access: ServerAccess, offered: list[str], message: str) -> None:
    with pytest.raises(CannotLogIn, match=message) as caught:
        dialogue(access, offered)
    assert "pässword" not in str(caught.value)


def test_nothing_secret_shows() -> None:
    access = _access(password="geheim")
    said = dialogue(access, ["PLAIN"])
    secret = said.first.split()[2]
    assert secret not in repr(said)
    assert "geheim" not in repr(access)
    shown = without_secrets(f"5.5.2 cannot read {said.first} (geheim)", said, access)
    assert shown == "5.5.2 cannot read AUTH PLAIN *** (***)"
