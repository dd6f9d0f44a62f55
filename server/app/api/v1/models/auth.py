"""What the API says of signing in, and of one's own account."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.access.actor import Actor
from app.access.sessions import csrf_token
from app.api.forms import SIX_DIGITS, form
from app.api.v1.models.number import Switch
from app.api.v1.models.text import TOO_SHORT, Address, Line, Typed
from app.db.models import LoginSession, User
from app.mailer.services.people.sessions import Oneself
from app.mailer.services.people.sign_in import Credentials, SecondFactor, SignedIn

_CODE = Field(
    default=None,
    min_length=6,
    max_length=10,
    pattern=SIX_DIGITS,
    description="The code that the authenticator app shows now",
    examples=["123456"],
)
_RECOVERY = Field(
    default=None,
    min_length=16,
    max_length=40,
    pattern=form(r"^[A-Za-z0-9 -]+$", "letters, digits, spaces and -"),
    description="One of the recovery codes, in the place of a code; each works once",
    examples=["k3vq-7hxa-pz2m-c4tw"],
)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoginIn(_In):
    """Who wants in; with a second factor one of the two codes, too."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant_slug": "default",
                    "email": "admin@example.local",
                    "password": "dev-admin",
                }
            ]
        }
    )

    tenant_slug: Line = Field(examples=["default"])
    email: Address = Field(examples=["admin@example.local"])
    password: Typed = Field(examples=["dev-admin"])
    totp_code: str | None = _CODE
    recovery_code: str | None = _RECOVERY
    cookie: Switch = Field(
        default=False,
        description="For browsers: the session comes as an HttpOnly cookie, and not in the answer",
    )

    def credentials(self) -> Credentials:
        return Credentials(
            self.tenant_slug,
            self.email,
            self.password,
            SecondFactor(self.totp_code, self.recovery_code),
        )


class SelfOut(BaseModel):
    """A person, as he sees himself."""

    id: UUID
    email: str
    display_name: str
    has_totp: bool = Field(description="Whether signing in needs a code")
    last_login_at: datetime | None

    @classmethod
    def of(cls, user: User) -> SelfOut:
        return cls(
            id=user.id,
            email=user.email,
            display_name=user.display_name,
            has_totp=user.totp_confirmed_at is not None,
            last_login_at=user.last_login_at,
        )


class _Login(BaseModel):
    expires_at: datetime = Field(description="When the session ends at the latest")
    user: SelfOut
    scopes: list[str] = Field(examples=[["campaign:read", "campaign:write"]])


class TokenLogin(_Login):
    """A session for a program: send the token as `Authorization: Bearer`."""

    access_token: str = Field(examples=["ms_…"])
    token_type: Literal["bearer"] = Field(examples=["bearer"])

    @classmethod
    def of(cls, signed: SignedIn) -> TokenLogin:
        return cls(
            access_token=signed.session.token,
            token_type="bearer",  # noqa: S106 - the kind of token
            expires_at=signed.session.expires_at,
            user=SelfOut.of(signed.user),
            scopes=sorted(signed.actor.scopes),
        )


class CookieLogin(_Login):
    """A session for a browser, in a cookie."""

    csrf_token: str = Field(description="Send it as `X-CSRF-Token` with every method but GET")

    @classmethod
    def of(cls, signed: SignedIn) -> CookieLogin:
        return cls(
            csrf_token=csrf_token(signed.session.token),
            expires_at=signed.session.expires_at,
            user=SelfOut.of(signed.user),
            scopes=sorted(signed.actor.scopes),
        )


class OwnTenant(BaseModel):
    id: UUID
    slug: str
    name: str


class MeOut(BaseModel):
    """Whose key or session this is, and what it may do now."""

    kind: Literal["user", "api_key"]
    id: UUID = Field(description="Of the user, or of the key")
    name: str
    tenant: OwnTenant
    user: SelfOut | None = Field(description="The person; null for a key that is nobody's")
    scopes: list[str]
    session_id: UUID | None
    csrf_token: str | None = Field(description="For a session in a cookie")
    recovery_codes_left: int

    @classmethod
    def of(cls, actor: Actor, oneself: Oneself, csrf_token: str | None) -> MeOut:
        return cls(
            kind=actor.kind.value,
            id=UUID(actor.id),
            name=actor.name,
            tenant=OwnTenant.model_validate(oneself.tenant, from_attributes=True),
            user=None if oneself.user is None else SelfOut.of(oneself.user),
            scopes=sorted(actor.scopes),
            session_id=actor.session_id,
            csrf_token=csrf_token,
            recovery_codes_left=oneself.recovery_codes_left,
        )


class SessionOut(BaseModel):
    """Somebody signed in, somewhere."""

    id: UUID
    is_current: bool = Field(description="The one that this request came with")
    is_cookie: bool
    address: str | None
    user_agent: str | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, opened: LoginSession, current: UUID | None) -> SessionOut:
        return cls(
            id=opened.id,
            is_current=opened.id == current,
            is_cookie=opened.is_cookie,
            address=opened.address,
            user_agent=opened.user_agent,
            created_at=opened.created_at,
            last_seen_at=opened.last_seen_at,
            expires_at=opened.expires_at,
        )


class PasswordChangeIn(_In):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"current_password": "dev-admin", "new_password": TOO_SHORT}]
        }
    )

    current_password: Typed
    new_password: Typed = Field(description="At least 12 characters")


class TotpBeginIn(_In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "dev-admin"}]})

    password: Typed


class TotpBeginOut(BaseModel):
    """The key for the authenticator app, shown this once."""

    secret: str = Field(description="To type", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    otpauth_uri: str = Field(description="To show as a QR code", examples=["otpauth://totp/…"])


class TotpConfirmIn(_In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "123456"}]})

    code: str = Field(min_length=6, max_length=7, pattern=SIX_DIGITS, examples=["123456"])


class RecoveryCodesOut(BaseModel):
    """Codes for when the app is lost, shown this once; each works once."""

    recovery_codes: list[str] = Field(examples=[["k3vq-7hxa-pz2m-c4tw"]])


class ProofIn(_In):
    """The password, and one of the two codes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"password": "dev-admin", "totp_code": "123456"}]}
    )

    password: Typed
    totp_code: str | None = _CODE
    recovery_code: str | None = _RECOVERY

    def second(self) -> SecondFactor:
        return SecondFactor(self.totp_code, self.recovery_code)
