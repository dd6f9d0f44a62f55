from __future__ import annotations

from uuid import UUID

import pytest

from app.access.actor import Actor, ActorKind, require_scope
from app.access.scopes import MEANINGS, Scope, common, covers, known_scopes, lacking
from app.mailer.domain.errors import AccessDenied, MailerError


@pytest.mark.parametrize(
    ("granted", "scope", "allowed"),
    [
        (["campaign:read"], "campaign:read", True),
        (["campaign:read"], "campaign:write", False),
        (["campaign:*"], "campaign:send", True),
        (["files:*"], "files:upload", True),
        (["files:*"], "filesystem:upload", False),
        (["files:*"], "campaign:read", False),
        (["admin:*"], "campaign:send", False),
        (["*"], "campaign:send", True),
        (["*"], "admin:*", True),
        (["admin:users"], "admin:*", False),
        ([], "campaign:read", False),
        (["campaign"], "campaign:read", False),
        ([":*"], "campaign:read", False),
    ],
)
def test_covers(granted: list[str], scope: str, allowed: bool) -> None:
    assert covers(granted, scope) is allowed


def test_known_scopes_are_sorted_and_unique() -> None:
    assert known_scopes([Scope.AUDIT_READ, "campaign:*", "audit:read"]) == [
        "audit:read",
        "campaign:*",
    ]


@pytest.mark.parametrize("scope", ["campaign:raed", "campain:read", "", "*:*", "files", "**"])
def test_unknown_scopes_are_named(scope: str) -> None:
    with pytest.raises(MailerError, match=r"There is no scope .* Known: .*campaign:read"):
        known_scopes(["audit:read", scope])


def test_require_scope_names_what_is_missing() -> None:
    actor = Actor(UUID(int=1), ActorKind.API_KEY, "k", "Reports", frozenset({"campaign:read"}))
    require_scope(actor, Scope.CAMPAIGN_READ)
    with pytest.raises(AccessDenied, match="Reports may not do this: the scope campaign:send"):
        require_scope(actor, Scope.CAMPAIGN_SEND)


def test_the_system_has_only_what_it_is_given() -> None:
    actor = Actor.system(UUID(int=1), "dispatcher", [Scope.CAMPAIGN_SEND])
    assert actor.may("campaign:send")
    assert not actor.may("campaign:read")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (["*"], ["campaign:*", "audit:read"], {"campaign:*", "audit:read"}),
        (["campaign:*"], ["campaign:read", "audit:read"], {"campaign:read"}),
        (["campaign:read"], ["campaign:read", "campaign:send"], {"campaign:read"}),
        (["campaign:read"], ["audit:read"], set()),
        (["*"], ["*"], {"*"}),
        (["*"], [], set()),
    ],
)
def test_common(one: list[str], other: list[str], both: set[str]) -> None:
    assert common(one, other) == both
    assert common(other, one) == both


def test_what_is_common_never_covers_more_than_either() -> None:
    families = sorted({f"{scope.value.partition(':')[0]}:*" for scope in Scope} - {"*:*"})
    every = [*(scope.value for scope in Scope), *families]
    for one in every:
        for other in every:
            both = common([one], [other])
            for scope in every:
                assert covers(both, scope) == (covers([one], scope) and covers([other], scope))


def test_lacking() -> None:
    assert lacking(["campaign:*"], ["campaign:send", "campaign:*"]) == []
    assert lacking(["campaign:read"], ["campaign:*", "audit:read", "campaign:read"]) == [
        "audit:read",
        "campaign:*",
    ]
    assert lacking(["admin:*"], ["*"]) == ["*"]


def test_every_scope_has_its_meaning() -> None:
    assert MEANINGS.keys() == set(Scope)
