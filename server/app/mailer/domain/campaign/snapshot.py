"""A campaign file as it is stored: its paths absolute, its secrets taken out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from app.mailer.domain.campaign import Campaign
from app.mailer.domain.campaign.json_text import escaped

#: What stands in the place of a secret: a reference to it by its own JSON Pointer.
MARK = "secret:"
_ONE_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")


def with_absolute_paths(raw: Mapping[str, Any], absolute: Callable[[str], str]) -> dict[str, Any]:
    """A copy of the file whose paths no longer depend on where the file stood."""
    config = deepcopy(dict(raw))
    for holder, key in _paths(config):
        holder[key] = absolute(holder[key])
    # Where nothing is said, the base is the file's own folder.
    config.setdefault("attachments", {}).setdefault("base_path", absolute("."))
    return config


def without_secrets(
    raw: Mapping[str, Any], campaign: Campaign
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy of the file with a reference in the place of each secret, and the secrets by pointer.

    Secrets are the passwords, what is literal in the archive's password, and the values of fields
    of type `secret`.
    """
    config = deepcopy(dict(raw))
    secrets: dict[str, Any] = {}
    for holder, key, pointer in _secret_places(config, campaign):
        value = holder.get(key)
        if value is None or value == "":
            continue
        secrets[pointer] = value
        holder[key] = f"{MARK}{pointer}"
    return config, secrets


def with_secrets(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    """The file as it was, from its stored copy and its secrets."""
    whole = deepcopy(dict(config))
    for pointer, value in secrets.items():
        *path, last = [
            token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]
        ]
        holder: Any = whole
        for token in path:
            holder = holder[int(token)] if isinstance(holder, list) else holder[token]
        holder[last] = value
    return whole


def _paths(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    template = config.get("template", {})
    for part in ("subject", "text", "html"):
        if isinstance(template.get(part), dict):
            yield template[part], "path"
    for image in template.get("inline_images", []):
        yield image, "path"
    if "base_path" in config.get("attachments", {}):
        yield config["attachments"], "base_path"
    source = config.get("entries", {}).get("source")
    if source is not None:
        yield source, "path"


def _secret_places(
    config: dict[str, Any], campaign: Campaign
) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every place that may hold a secret: the object, its key, and the JSON Pointer."""
    for server in ("smtp", "imap"):
        if config.get("server", {}).get(server):
            yield config["server"][server], "password", f"/server/{server}/password"
    zip_ = config.get("attachments", {}).get("zip") or {}
    if not _ONE_PLACEHOLDER.fullmatch(zip_.get("password") or ""):
        yield zip_, "password", "/attachments/zip/password"
    names = [each.name for each in campaign.fields if each.type == "secret"]
    for number, each in enumerate(campaign.fields):
        if each.type == "secret":
            yield config["fields"][number], "default", f"/fields/{number}/default"
    for name in names:
        place = escaped(name)
        if "global_values" in config:
            yield config["global_values"], name, f"/global_values/{place}"
        for number, entry in enumerate(config.get("entries", {}).get("inline", [])):
            if "values" in entry:
                yield entry["values"], name, f"/entries/inline/{number}/values/{place}"
