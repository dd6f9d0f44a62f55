"""Mail accounts."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Header, Query, Response

from app.api.access import CurrentActor
from app.api.errors import ApiError
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.accounts import AccountIn, AccountOut, AccountPatch, CheckOut
from app.db.models import MailAccount
from app.db.repositories import accounts as rows
from app.mailer.services import accounts
from app.mailer.services import check_account as checking

routes = router("accounts", "/accounts")

Sort = Literal["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=200,
        description="The ETag of what you looked at: where the account has changed since, nothing "
        "is done, and the answer is 409 with `current`",
    ),
]


@routes.get("", response_model=Page[AccountOut])
def list_accounts(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "name",
    search: Annotated[
        str | None, Query(max_length=200, description="A part of the name or a host")
    ] = None,
    campaign_id: Annotated[
        UUID | None, Query(description="Only what imports of this campaign brought along")
    ] = None,
) -> Any:
    """The tenant's mail accounts."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = accounts.page_accounts(
            session,
            actor,
            search=search,
            campaign_id=campaign_id,
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, AccountOut.of)


@routes.post("", status_code=201)
def create_account(
    body: AccountIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> AccountOut:
    """Make a mail account. Its passwords are stored encrypted and are never shown again.

    Hosts in private networks are refused, unless ALLOWED_PRIVATE_HOSTS names them.
    """
    with program.sessions() as session:
        account = accounts.create_account(
            session,
            actor,
            body.columns(),
            box=program.box,
            clock=program.clock,
            refuse_private=program.refuse_private,
        )
        session.commit()
    response.headers["Location"] = f"/api/v1/accounts/{account.id}"
    return _shown(account, response)


@routes.get("/{account_id}")
def get_account(
    account_id: UUID, actor: CurrentActor, program: ProgramDep, response: Response
) -> AccountOut:
    """One mail account, and what its last check found."""
    with program.reading() as session:
        account = accounts.get_account(session, actor, account_id)
    return _shown(account, response)


@routes.patch("/{account_id}")
def update_account(
    account_id: UUID,
    body: AccountPatch,
    actor: CurrentActor,
    program: ProgramDep,
    response: Response,
    if_match: IfMatch = None,
) -> AccountOut:
    """Change what is sent, and nothing else.

    A server that moves to another host, or loses its encryption, forgets its password unless one
    comes along. A new name is refused while a version that is not finished has the old one.
    """
    with program.sessions() as session:
        try:
            account = accounts.update_account(
                session,
                actor,
                account_id,
                body.columns(),
                expected_revision=_revision(account_id, if_match),
                box=program.box,
                clock=program.clock,
                refuse_private=program.refuse_private,
            )
        except accounts.AccountChanged as error:
            raise _changed(error) from None
        session.commit()
    return _shown(account, response)


@routes.delete("/{account_id}", status_code=204)
def delete_account(
    account_id: UUID, actor: CurrentActor, program: ProgramDep, if_match: IfMatch = None
) -> None:
    """Delete an account and its passwords, unless a version that is not finished sends by it."""
    with program.sessions() as session:
        try:
            accounts.delete_account(
                session,
                actor,
                account_id,
                expected_revision=_revision(account_id, if_match),
                clock=program.clock,
            )
        except accounts.AccountChanged as error:
            raise _changed(error) from None
        session.commit()


@routes.post("/{account_id}/check")
def check_account(account_id: UUID, actor: CurrentActor, program: ProgramDep) -> CheckOut:
    """Log in to both servers and say what they offer, or what is wrong. No mail is sent.

    Takes 15 seconds at most. A login that fails is an answer, not an error: see `ok`.
    """
    result = checking.check_account(
        program.sessions,
        actor,
        account_id,
        probes=program.probes,
        box=program.box,
        clock=program.clock,
    )
    return CheckOut.of(result)


def _shown(account: MailAccount, response: Response) -> AccountOut:
    response.headers["ETag"] = _etag(account.id, account.revision)
    return AccountOut.of(account)


def _etag(account_id: UUID, revision: int) -> str:
    return f'"r{revision}-{account_id.hex[:8]}"'


def _revision(account_id: UUID, if_match: str | None) -> int | None:
    """The revision that an ETag stands for; one of something else stands for none that exists."""
    if if_match is None or if_match.strip() == "*":
        return None
    number = if_match.strip().removeprefix('"r').partition("-")[0]
    revision = int(number) if number.isascii() and number.isdecimal() else 0
    return revision if if_match.strip() == _etag(account_id, revision) else 0


def _changed(error: accounts.AccountChanged) -> ApiError:
    account = error.account
    return ApiError(
        409,
        "changed-meanwhile",
        error.message,
        error.hint,
        headers={"ETag": _etag(account.id, account.revision)},
        current=AccountOut.of(account).model_dump(mode="json"),
    )
