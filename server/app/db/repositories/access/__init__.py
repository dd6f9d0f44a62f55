"""Queries about who may do what, by noun: tenants, users, groups, roles, keys, sessions.

Those that work anywhere with people and keys can also be had from here.
"""

from app.db.repositories.access.keys import (
    add_api_key,
    api_key_by_hash,
    api_keys,
    note_api_key_use,
    revoke_api_key,
)
from app.db.repositories.access.roles import add_role, role_by_name
from app.db.repositories.access.tenants import add_tenant, tenant_by_slug
from app.db.repositories.access.users import (
    add_user,
    grant_role,
    scopes_of_user,
    user,
    user_by_email,
)

__all__ = [
    "add_api_key",
    "add_role",
    "add_tenant",
    "add_user",
    "api_key_by_hash",
    "api_keys",
    "grant_role",
    "note_api_key_use",
    "revoke_api_key",
    "role_by_name",
    "scopes_of_user",
    "tenant_by_slug",
    "user",
    "user_by_email",
]
