from __future__ import annotations

import base64
from pathlib import Path

import pytest

from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import Security
from app.settings import (
    DEVELOPMENT_API_KEY,
    DEVELOPMENT_MASTER_KEY_B64,
    SERVER,
    Settings,
    get_settings,
)

OWN_KEY = base64.b64encode(bytes(range(32))).decode()
VARIABLES = [
    "APP_ENV",
    "DATABASE_URL",
    "BLOB_DIR",
    "JOURNAL_DIR",
    "MASTER_KEY_B64",
    "DEV_API_KEY",
    "MULTIMAILER_SMTP_HOST",
    "MULTIMAILER_SMTP_PORT",
    "MULTIMAILER_SMTP_SECURITY",
    "MULTIMAILER_SMTP_USERNAME",
    "MULTIMAILER_SMTP_PASSWORD",
]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


def test_development_needs_nothing_set() -> None:
    settings = Settings.load()
    assert settings.is_dev
    assert settings.database_url == f"sqlite:///{SERVER / 'var/multimailer.db'}"
    assert settings.blob_dir == SERVER / "var/blobs"
    assert settings.journal_dir == SERVER / "var/journal"
    assert len(settings.master_key) == 32
    assert settings.dev_api_key is not None
    assert settings.dev_api_key.get_secret_value() == DEVELOPMENT_API_KEY


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().app_env = "production"  # type: ignore[misc, assignment]


@pytest.mark.parametrize("env", ["production", "test"])
@pytest.mark.parametrize("key", [None, "", DEVELOPMENT_MASTER_KEY_B64])
def test_outside_development_a_master_key_is_needed(
    monkeypatch: pytest.MonkeyPatch, env: str, key: str | None
) -> None:
    monkeypatch.setenv("APP_ENV", env)
    if key is not None:
        monkeypatch.setenv("MASTER_KEY_B64", key)
    with pytest.raises(ConfigurationError, match=r"MASTER_KEY_B64 needs .*os\.urandom"):
        Settings.load()


def test_production_with_its_own_key_has_no_development_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("MASTER_KEY_B64", OWN_KEY)
    settings = Settings.load()
    assert settings.master_key == bytes(range(32))
    assert settings.dev_api_key is None


@pytest.mark.parametrize("key", ["abc", "AAAA", "not base64 at all!", OWN_KEY[:-4], "ä" * 44])
def test_a_master_key_of_the_wrong_form_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MASTER_KEY_B64", key)
    with pytest.raises(ConfigurationError, match="MASTER_KEY_B64 must be 32 bytes") as caught:
        Settings.load()
    assert key not in str(caught.value)


def test_every_fault_is_named_at_once_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("DATABASE_URL", "mysql://root:hunter2@host/db")
    monkeypatch.setenv("DEV_API_KEY", "hunter3")
    monkeypatch.setenv("MULTIMAILER_SMTP_PORT", "70000")
    monkeypatch.setenv("MULTIMAILER_SMTP_SECURITY", "ssl")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    text = str(caught.value)
    for name in (
        "DATABASE_URL",
        "MASTER_KEY_B64",
        "DEV_API_KEY",
        "MULTIMAILER_SMTP_PORT",
        "MULTIMAILER_SMTP_SECURITY",
    ):
        assert f"- {name} " in text
    assert "'70000'" in text
    assert "'plain', 'tls' or 'starttls' (it is 'ssl')" in text
    assert "hunter" not in text
    assert caught.value.__context__ is None


def test_an_unknown_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "prod")
    with pytest.raises(ConfigurationError, match=r"APP_ENV must be .*'production' .*'prod'"):
        Settings.load()


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_KEY_B64", OWN_KEY)
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://me:hunter2@host/db")
    monkeypatch.setenv("MULTIMAILER_SMTP_PASSWORD", "hunter3")
    settings = Settings.load()
    _ = settings.master_key
    for secret in ("hunter2", "hunter3", OWN_KEY, repr(settings.master_key), DEVELOPMENT_API_KEY):
        assert secret not in repr(settings)
        assert secret not in str(settings)


def test_smtp_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIMAILER_SMTP_HOST", "smtp.example.org")
    monkeypatch.setenv("MULTIMAILER_SMTP_PORT", "587")
    monkeypatch.setenv("MULTIMAILER_SMTP_SECURITY", "starttls")
    monkeypatch.setenv("MULTIMAILER_SMTP_USERNAME", "ada")
    monkeypatch.setenv("MULTIMAILER_SMTP_PASSWORD", " spaces count ")
    settings = Settings.load()
    assert (settings.smtp_host, settings.smtp_port) == ("smtp.example.org", 587)
    assert settings.smtp_security is Security.STARTTLS
    assert settings.smtp_username == "ada"
    assert settings.smtp_password is not None
    assert settings.smtp_password.get_secret_value() == " spaces count "


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    settings = Settings.load()
    assert settings.is_dev
    assert settings.smtp_port is None
    assert settings.smtp_password is None
    assert settings.database_url.endswith("var/multimailer.db")
    assert settings.dev_api_key is None, "an empty DEV_API_KEY switches the key off"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///x/y.db", f"sqlite:///{SERVER}/x/y.db"),
        ("sqlite:////srv/y.db", "sqlite:////srv/y.db"),
        ("postgresql://u:p@h:5432/db", "postgresql+psycopg://u:p@h:5432/db"),
        ("postgres://u@h/db", "postgresql+psycopg://u@h/db"),
        ("postgresql+psycopg://u@/db?host=/run/pg", "postgresql+psycopg://u@/db?host=/run/pg"),
    ],
)
def test_database_urls(monkeypatch: pytest.MonkeyPatch, given: str, kept: str) -> None:
    monkeypatch.setenv("DATABASE_URL", given)
    assert Settings.load().database_url == kept


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:x.db", "postgresql://u@host", "nonsense"]
)
def test_unusable_database_urls(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        Settings.load()


def test_a_dotenv_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    path.write_text("BLOB_DIR=/srv/blobs\nJOURNAL_DIR=/srv/journal\nCELERY_CONCURRENCY=4\n")
    monkeypatch.setitem(Settings.model_config, "env_file", path)
    monkeypatch.setenv("JOURNAL_DIR", "/other")
    settings = Settings.load()
    assert settings.blob_dir == Path("/srv/blobs")
    assert settings.journal_dir == Path("/other")


def test_get_settings_reads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    get_settings.cache_clear()
    first = get_settings()
    monkeypatch.setenv("BLOB_DIR", "/elsewhere")
    assert get_settings() is first
    get_settings.cache_clear()
    assert get_settings().blob_dir == Path("/elsewhere")
    get_settings.cache_clear()


def test_s3_is_complete_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:3900")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert "S3_ACCESS_KEY_ID is needed" in caught.value.message
    assert "S3_SECRET_ACCESS_KEY is needed" in caught.value.message
    monkeypatch.setenv("S3_ACCESS_KEY_ID", "GK0123")
    monkeypatch.setenv("S3_SECRET_ACCESS_KEY", "canary-secret")
    settings = Settings.load()
    assert (settings.s3_region, settings.s3_bucket) == ("garage", "attachments")
    assert "canary-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_ENDPOINT_URL", "garage:3900"),
        ("S3_ENDPOINT_URL", "ftp://garage"),
        ("S3_ENDPOINT_URL", "http://key:secret@garage"),
        ("CLAMAV_ADDRESS", "clamav"),
        ("CLAMAV_ADDRESS", "clamav:http"),
        ("CLAMAV_ADDRESS", "clamav:70000"),
    ],
)
def test_addresses_that_cannot_be(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name} must be"):
        Settings.load()


def test_only_development_reads_the_examples_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().file_roots == (str(SERVER / "app/mailer/examples"),)
    monkeypatch.setenv("FILE_ROOTS", "/srv/letters, data")
    assert Settings.load().file_roots == ("/srv/letters", str(SERVER / "data"))
    monkeypatch.setenv("FILE_ROOTS", "")
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("MASTER_KEY_B64", OWN_KEY)
    assert Settings.load().file_roots == ()
