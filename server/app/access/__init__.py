"""Who may do what: tenants, users, roles, API keys."""

from app.access.actor import Actor, ActorKind, require_scope
from app.access.development import bootstrap_dev_data
from app.access.keys import NewApiKey, authenticate_api_key, create_api_key
from app.access.passwords import hash_password, verify_password
from app.access.scopes import Scope

__all__ = [
    "Actor",
    "ActorKind",
    "NewApiKey",
    "Scope",
    "authenticate_api_key",
    "bootstrap_dev_data",
    "create_api_key",
    "hash_password",
    "require_scope",
    "verify_password",
]
