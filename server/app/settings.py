"""The installation's settings: one frozen object, read once from the environment and `.env`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import Security

#: The folder that holds `app`, `alembic` and, unless told otherwise, `var`.
SERVER = Path(__file__).resolve().parents[1]

#: Known to everyone who reads this file, so good for nothing but development.
DEVELOPMENT_MASTER_KEY_B64 = "bXVsdGltYWlsZXIgZGV2ZWxvcG1lbnQga2V5ISEhISE="
DEVELOPMENT_API_KEY = "dev-multimailer-api-key"

_MASTER_KEY_BYTES = 32
_MAKE_KEY = 'python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'
_PSYCOPG = "postgresql+psycopg"
#: Variables whose values may not show in an error.
_SECRET = {
    "DATABASE_URL",
    "REDIS_URL",
    "MASTER_KEY_B64",
    "MASTER_KEY_OLD_B64",
    "DEV_API_KEY",
    "MULTIMAILER_SMTP_PASSWORD",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
}

#: Several values of one variable, parted by commas.
_List = Annotated[tuple[str, ...], NoDecode]


class AppEnv(StrEnum):
    """Where this runs. Development secrets are taken in `dev` alone."""

    DEV = "dev"
    TEST = "test"
    PRODUCTION = "production"


class OperationsWorker(StrEnum):
    """Who does the long work: a child of each API process, or `run_operations` started apart."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"


class DeliveryWorker(StrEnum):
    """Who sends: a child of each API process, or workers started apart."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"


class Settings(BaseSettings):
    """Every setting of the program; names of variables are the fields' names in upper case.

    Relative paths, those in a SQLite URL too, start at the folder `server`. An empty variable
    counts as unset, but an empty `DEV_API_KEY` means that there is no development key. `load`
    raises `ConfigurationError` with every fault at once; no secret shows in it, nor in a repr.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=(SERVER.parent / ".env", SERVER / ".env"),
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    app_env: AppEnv = AppEnv.DEV
    #: May hold a password, hence no repr.
    database_url: str = Field(default="sqlite:///var/multimailer.db", repr=False)
    #: Where it is set, Celery's workers send, and all of them share the limits that stand in it.
    redis_url: str | None = Field(default=None, repr=False)
    blob_dir: Path = Path("var/blobs")
    journal_dir: Path = Path("var/journal")
    master_key_b64: SecretStr = SecretStr("")
    #: The key before, while `rotate_master_key` runs.
    master_key_old_b64: SecretStr | None = None
    dev_api_key: SecretStr | None = None

    #: Where the endpoint is set, files are in S3 and not in `blob_dir`.
    s3_endpoint_url: str | None = None
    s3_region: str = "garage"
    s3_bucket: str = "attachments"
    s3_access_key_id: SecretStr | None = Field(default=None, validate_default=True)
    s3_secret_access_key: SecretStr | None = Field(default=None, validate_default=True)

    #: Folders of this machine that campaigns which come by the API may read; in development, where
    #: nothing is said, that of the examples.
    file_roots: _List = Field(default=(), validate_default=True)
    #: Bytes that the uploads of one tenant, and one of them, may take.
    upload_quota_bytes: int = Field(default=10 * 2**30, ge=0)
    upload_max_bytes: int = Field(default=4 * 2**30, ge=1)
    #: host:port or a socket's path; where set, every upload is scanned.
    clamav_address: str | None = None
    #: Names and networks within private ranges that mail accounts may point to.
    allowed_private_hosts: _List = ()

    #: Networks of proxies whose X-Forwarded-For is believed.
    trusted_proxies: _List = ()
    session_idle_minutes: int = Field(default=60, ge=1, le=525_600)
    session_max_hours: int = Field(default=12, ge=1, le=8_760)
    #: The largest body with a campaign and its entries in it; others are smaller (`body_limit`).
    request_max_bytes: int = Field(default=256 * 2**20, ge=1)

    operations_worker: OperationsWorker = OperationsWorker.EMBEDDED
    #: Where nothing is said: embedded without `redis_url`, else external.
    delivery_worker: DeliveryWorker | None = None
    #: A worker that says nothing for so long has lost its letters; longer than any server takes
    #: to answer a closing dot (RFC 5321, 4.5.3.2.6: ten minutes).
    lease_seconds: float = Field(default=900.0, ge=1, le=86_400)
    #: Letters that a connection may have past the point of no return at once, where no limit asks
    #: for one at a time: what the loss of a whole machine leaves in doubt.
    commit_window: int = Field(default=8, ge=1, le=64)

    #: Of one worker: processes, tasks fetched ahead for each, and tasks after which one is renewed.
    celery_concurrency: int = Field(default=2, ge=1, le=256)
    celery_prefetch_multiplier: int = Field(default=1, ge=1, le=64)
    celery_max_tasks_per_child: int = Field(default=200, ge=1)

    #: Where set, these override what the campaign or the stored account says.
    smtp_host: str | None = Field(default=None, validation_alias="MULTIMAILER_SMTP_HOST")
    smtp_port: int | None = Field(
        default=None, ge=1, le=65535, validation_alias="MULTIMAILER_SMTP_PORT"
    )
    smtp_security: Security | None = Field(
        default=None, validation_alias="MULTIMAILER_SMTP_SECURITY"
    )
    smtp_username: str | None = Field(default=None, validation_alias="MULTIMAILER_SMTP_USERNAME")
    smtp_password: SecretStr | None = Field(
        default=None, validation_alias="MULTIMAILER_SMTP_PASSWORD"
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: Mapping[str, object]) -> dict[str, object]:
        return {key: value for key, value in values.items() if value != "" or key == "dev_api_key"}

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        scheme, _, rest = url.partition("://")
        if scheme in ("sqlite", "sqlite+pysqlite"):
            path = rest.removeprefix("/")
            if not rest.startswith("/") or path.partition("?")[0] in ("", ":memory:"):
                raise ValueError(
                    "needs the path of a file: sqlite:///var/multimailer.db, or with four slashes "
                    "for an absolute path"
                )
            return f"sqlite:///{SERVER / path}"
        if scheme in ("postgresql", "postgres", _PSYCOPG):
            parts = urlsplit(f"{_PSYCOPG}://{rest}")
            _refuse_port_in_words(parts)
            if not parts.path.strip("/"):
                raise ValueError("names no database: postgresql+psycopg://user:password@host/name")
            return f"{_PSYCOPG}://{rest}"
        raise ValueError(
            "must begin with sqlite:/// (a file) or postgresql+psycopg:// (Postgres 15 or later)"
        )

    @field_validator("redis_url")
    @classmethod
    def _address_of_redis(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        _refuse_port_in_words(parts)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError("must be the server's address, such as redis://127.0.0.1:6379/0")
        return url

    @field_validator("blob_dir", "journal_dir")
    @classmethod
    def _from_server(cls, path: Path) -> Path:
        return SERVER / path

    @field_validator("file_roots", "allowed_private_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _parted(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("s3_endpoint_url")
    @classmethod
    def _address_of_s3(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("must be the server's address, such as http://127.0.0.1:3900")
        return url

    @field_validator("s3_access_key_id", "s3_secret_access_key")
    @classmethod
    def _key_of_s3(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("s3_endpoint_url"):
            raise ValueError("is needed where S3_ENDPOINT_URL is set")
        return value

    @field_validator("file_roots")
    @classmethod
    def _roots_from_server(cls, roots: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not roots and info.data.get("app_env") is AppEnv.DEV:
            roots = ("app/mailer/examples",)
        return tuple(str(SERVER / root) for root in roots)

    @field_validator("clamav_address")
    @classmethod
    def _address_of_clamd(cls, address: str | None) -> str | None:
        if address is not None and not address.startswith("/"):
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
                raise ValueError("must be host:port, or the path of a socket beginning with /")
        return address

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for each in proxies:
            try:
                ip_network(each, strict=False)
            except ValueError:
                raise ValueError(
                    f"has {each!r}, which is no address and no network like 10.0.0.0/8"
                ) from None
        return proxies

    @field_validator("master_key_b64")
    @classmethod
    def _whole_key(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        text = value.get_secret_value()
        env = info.data.get("app_env", AppEnv.DEV)
        if env is AppEnv.DEV and not text:
            return SecretStr(DEVELOPMENT_MASTER_KEY_B64)
        if env is not AppEnv.DEV and text in ("", DEVELOPMENT_MASTER_KEY_B64):
            raise ValueError(
                f"needs a key of its own with APP_ENV={env}. Make one with: {_MAKE_KEY}"
            )
        _refuse_wrong_length(text)
        return value

    @field_validator("master_key_old_b64")
    @classmethod
    def _whole_old_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _refuse_wrong_length(value.get_secret_value())
        return value

    @field_validator("dev_api_key")
    @classmethod
    def _development_only(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        env = info.data.get("app_env", AppEnv.DEV)
        if env is AppEnv.DEV and value is None:
            return SecretStr(DEVELOPMENT_API_KEY)
        if value is None or not value.get_secret_value():
            return None
        if env is not AppEnv.DEV:
            raise ValueError(f"is for APP_ENV=dev alone, and this is {env}: remove it")
        return value

    @classmethod
    def load(cls) -> Self:
        """Reads the environment; raises `ConfigurationError` that names every faulty variable."""
        try:
            return cls()
        except ValidationError as error:
            lines = [f"  - {_sentence(fault)}" for fault in error.errors()]
        raise ConfigurationError(
            "\n".join(["The settings are not usable:", *lines]),
            "\nCorrect these in the environment or in .env.",
        )

    @cached_property
    def master_key(self) -> bytes:
        """The 32 bytes that everything secret is sealed with."""
        return base64.b64decode(self.master_key_b64.get_secret_value())

    @cached_property
    def master_key_old(self) -> bytes | None:
        """The key before; what it sealed opens, too."""
        old = self.master_key_old_b64
        return None if old is None else base64.b64decode(old.get_secret_value())

    @property
    def sends_itself(self) -> bool:
        """Whether an API process brings a sender along."""
        if self.delivery_worker is None:
            return self.redis_url is None
        return self.delivery_worker is DeliveryWorker.EMBEDDED

    @property
    def is_dev(self) -> bool:
        return self.app_env is AppEnv.DEV


def _refuse_port_in_words(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        # The text may be half a password with a slash in it, so it is not shown.
        raise ValueError(
            "has no number as its port (in a password, write %2F for a slash)"
        ) from None


def _refuse_wrong_length(text: str) -> None:
    try:
        length = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if length != _MASTER_KEY_BYTES:
        raise ValueError(f"must be {_MASTER_KEY_BYTES} bytes in base64. Make one with: {_MAKE_KEY}")


def _sentence(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0]).upper()
    text = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    shown = "" if name in _SECRET else f" (it is {fault['input']!r})"
    return f"{name} {text}{shown}"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once; tests call `get_settings.cache_clear()`."""
    return Settings.load()
