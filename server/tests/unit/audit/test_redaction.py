from __future__ import annotations

import json
from uuid import UUID

import pytest

from app.audit.redaction import REDACTED, redact


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "smtp_password",
        "Passwd",
        "PASSPHRASE",
        "client_secret",
        "token",
        "oauth_token",
        "api_key",
        "apiKey",
        "api-key",
        "master_key_b64",
        "Authorization",
        "cookie",
    ],
)
def test_keys_that_sound_secret(key: str) -> None:
    assert redact({"a": [{key: "hunter2"}]}) == {"a": [{key: REDACTED}]}
    assert redact({key: {"nested": "hunter2"}}) == {key: REDACTED}


@pytest.mark.parametrize("key", ["name", "key_prefix", "passed", "bypass_count", "external_id"])
def test_other_keys_stay(key: str) -> None:
    assert redact({key: "value"}) == {key: "value"}


def test_an_empty_secret_may_show_that_it_is_empty() -> None:
    assert redact({"password": None, "token": ""}) == {"password": None, "token": ""}


def test_the_result_is_json() -> None:
    redacted = redact({"id": UUID(int=1), "set": {1}, "tuple": (1, None, True), 5: 1.5})
    assert json.loads(json.dumps(redacted)) == {
        "id": str(UUID(int=1)),
        "set": [1],
        "tuple": [1, None, True],
        "5": 1.5,
    }
