"""Signing in and out, and what is one's own: sessions, password, second factor."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Request, Response

from app.api.access import COOKIE, CurrentActor, csrf_token_of
from app.api.client import client_address
from app.api.errors import ApiError
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import error, router
from app.api.state import ProgramDep
from app.api.v1.models.auth import (
    CookieLogin,
    LoginIn,
    MeOut,
    PasswordChangeIn,
    ProofIn,
    RecoveryCodesOut,
    SessionOut,
    TokenLogin,
    TotpBeginIn,
    TotpBeginOut,
    TotpConfirmIn,
)
from app.db.repositories.access import sessions as rows
from app.mailer.services.people import own_account, sessions
from app.mailer.services.people.sign_in import SecondFactorNeeded, SignInRefused, sign_in

routes = router("auth", "/auth")

SessionSort = Literal["last_seen_at", "-last_seen_at", "created_at", "-created_at"]

_SLOW_DOWN = error("Too many tries failed, for this account or from this address.")
_GUESSED: dict[int | str, dict[str, Any]] = {429: _SLOW_DOWN}


@routes.post(
    "/login",
    response_model=TokenLogin | CookieLogin,
    responses={
        401: error("`login-refused`, or `second-factor-needed`: the password is right."),
        429: _SLOW_DOWN,
    },
)
def login(body: LoginIn, request: Request, response: Response, program: ProgramDep) -> Any:
    """Sign in. A program gets a token; a browser, with `cookie`, a cookie and a CSRF token.

    Where the account has a second factor, a first try without a code answers with
    `second-factor-needed`.
    """
    try:
        signed = sign_in(
            program.front_desk(),
            body.credentials(),
            is_cookie=body.cookie,
            address=client_address(request, program.settings),
            user_agent=request.headers.get("user-agent"),
        )
    except SignInRefused as refused:
        needed = isinstance(refused, SecondFactorNeeded)
        kind = "second-factor-needed" if needed else "login-refused"
        raise ApiError(
            401, kind, refused.message, refused.hint, headers={"WWW-Authenticate": "Bearer"}
        ) from None
    if not body.cookie:
        return TokenLogin.of(signed)
    # Without an age of its own the cookie goes when the browser is closed.
    response.set_cookie(
        COOKIE, signed.session.token, path="/", secure=True, httponly=True, samesite="strict"
    )
    return CookieLogin.of(signed)


@routes.post("/logout", status_code=204)
def logout(actor: CurrentActor, program: ProgramDep, response: Response) -> None:
    """End the session that this request came with, and its cookie."""
    with program.sessions() as session:
        sessions.sign_out(session, actor, program.clock.now())
        session.commit()
    _drop_cookie(response)


@routes.get("/me")
def get_me(actor: CurrentActor, program: ProgramDep, request: Request) -> MeOut:
    """Whose key or session this is, and what it may do now."""
    with program.reading() as session:
        oneself = sessions.who_am_i(session, actor)
    return MeOut.of(actor, oneself, csrf_token_of(request))


@routes.get("/sessions", response_model=Page[SessionOut])
def list_own_sessions(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: SessionSort = "-last_seen_at",
) -> Any:
    """Where one is signed in; of a key, where its owner is."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = sessions.page_own_sessions(
            session,
            actor,
            program.session_terms,
            program.clock.now(),
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, lambda row: SessionOut.of(row, actor.session_id))


@routes.delete("/sessions/{session_id}", status_code=204)
def revoke_own_session(session_id: UUID, actor: CurrentActor, program: ProgramDep) -> None:
    """End one of one's own sessions."""
    with program.sessions() as session:
        sessions.revoke_own_session(session, actor, session_id, program.clock.now())
        session.commit()


@routes.post("/password", status_code=204, responses=_GUESSED)
def change_own_password(
    body: PasswordChangeIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> None:
    """Set a new password. All of one's sessions end, this one too: sign in again."""
    own_account.change_password(
        program.front_desk(), actor, body.current_password, body.new_password
    )
    _drop_cookie(response)


@routes.post("/totp", responses=_GUESSED)
def begin_totp(body: TotpBeginIn, actor: CurrentActor, program: ProgramDep) -> TotpBeginOut:
    """Begin with a second factor: a key for an authenticator app. It counts once confirmed."""
    factor = own_account.begin_totp(program.front_desk(), actor, body.password)
    return TotpBeginOut(secret=factor.secret, otpauth_uri=factor.uri)


@routes.post("/totp/confirm")
def confirm_totp(body: TotpConfirmIn, actor: CurrentActor, program: ProgramDep) -> RecoveryCodesOut:
    """Prove with a code that the app has the key. From now on signing in needs a code."""
    codes = own_account.confirm_totp(program.front_desk(), actor, body.code)
    return RecoveryCodesOut(recovery_codes=codes)


@routes.post("/totp/disable", status_code=204, responses=_GUESSED)
def disable_totp(body: ProofIn, actor: CurrentActor, program: ProgramDep) -> None:
    """Sign in without a code again."""
    own_account.disable_totp(program.front_desk(), actor, body.password, body.second())


@routes.post("/totp/recovery-codes", responses=_GUESSED)
def renew_recovery_codes(
    body: ProofIn, actor: CurrentActor, program: ProgramDep
) -> RecoveryCodesOut:
    """New recovery codes; the old ones count no more."""
    codes = own_account.renew_recovery_codes(
        program.front_desk(), actor, body.password, body.second()
    )
    return RecoveryCodesOut(recovery_codes=codes)


def _drop_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
