"""Which server is reached, and which password it gets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign import Campaign
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import Security
from app.mailer.services.server_access import (
    SmtpOverrides,
    imap_access,
    smtp_access,
    wants_sent_copy,
)

_OWN = {
    "host": "mail.example.org",
    "port": 2525,
    "security": "starttls",
    "username": "me@example.org",
    "password": "own secret",
}


def _campaign(**server: Any) -> Campaign:
    campaign, issues = read_shape_of(
        {
            "version": "1.0",
            "campaign": {"id": "x", "name": "X"},
            "server": server,
            "delivery": {"imap_append_sent": {"enabled": True}},
        }
    )
    assert campaign is not None, issues
    return campaign


def test_without_overrides_the_campaign_decides() -> None:
    access = smtp_access(_campaign(smtp=_OWN), SmtpOverrides())
    assert (access.host, access.port) == ("mail.example.org", 2525)
    assert access.security is Security.STARTTLS
    assert (access.username, access.password) == ("me@example.org", "own secret")


@given(
    st.sampled_from(["evil.example", "mail.example.org.evil.example", "localhost", "127.0.0.1"]),
    st.none() | st.integers(1, 65535),
    st.none() | st.sampled_from(Security),
    st.none() | st.just("me@example.org"),
    st.none() | st.just("given secret"),
)
def test_another_host_never_gets_the_campaigns_password(
    host: str,
    port: int | None,
    security: Security | None,
    username: str | None,
    password: str | None,
) -> None:
    access = smtp_access(
        _campaign(smtp=_OWN), SmtpOverrides(host, port, security, username, password)
    )
    assert access.host == host
    assert access.username == username
    assert access.password == password
    assert access.oauth_token is None


def test_another_host_never_gets_the_campaigns_token() -> None:
    campaign = _campaign(smtp={**_OWN, "auth": "xoauth2"})
    assert smtp_access(campaign, SmtpOverrides()).oauth_token == "own secret"
    assert smtp_access(campaign, SmtpOverrides(host="evil.example")).oauth_token is None


def test_the_same_host_keeps_the_password_with_another_port() -> None:
    access = smtp_access(_campaign(smtp=_OWN), SmtpOverrides(host="mail.example.org", port=587))
    assert (access.port, access.password) == (587, "own secret")


def test_another_kind_of_security_brings_its_own_port() -> None:
    campaign = _campaign(smtp=_OWN)
    assert smtp_access(campaign, SmtpOverrides(security=Security.TLS)).port == 465
    assert smtp_access(campaign, SmtpOverrides(security=Security.STARTTLS)).port == 2525
    assert smtp_access(campaign, SmtpOverrides(security=Security.TLS, port=1465)).port == 1465


def test_flags_go_before_variables() -> None:
    flags = SmtpOverrides(host="flag.example", username="flag")
    variables = SmtpOverrides("env.example", 25, Security.PLAIN, "env", "env secret")
    assert flags | variables == SmtpOverrides(
        "flag.example", 25, Security.PLAIN, "flag", "env secret"
    )


def test_the_password_is_in_no_repr() -> None:
    overrides = SmtpOverrides(password="given secret")
    access = smtp_access(_campaign(smtp=_OWN), overrides)
    assert "secret" not in repr(overrides) + repr(access)


def test_where_no_server_is_named_the_error_says_how_to_name_one() -> None:
    with pytest.raises(ConfigurationError, match="MULTIMAILER_SMTP_HOST"):
        smtp_access(_campaign(), SmtpOverrides())
    assert smtp_access(_campaign(), SmtpOverrides(host="mail.example.org")).port == 587
    with pytest.raises(ConfigurationError, match="“office”"):
        smtp_access(_campaign(account="office"), SmtpOverrides())
    with pytest.raises(ConfigurationError, match=r"server\.imap"):
        imap_access(_campaign(smtp=_OWN))


@pytest.mark.parametrize("enabled", [True, False])
def test_a_disabled_imap_server_gets_no_copy(enabled: bool) -> None:
    campaign = _campaign(smtp=_OWN, imap={"enabled": enabled, "host": "imap.example.org"})
    assert wants_sent_copy(campaign) is enabled
