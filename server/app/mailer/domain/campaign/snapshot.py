"""A campaign file as it is stored: its paths absolute, its secrets taken out.

Secrets are found by their place, not by the models: a draft that nobody has finished writing may be
no campaign at all yet, and its passwords have to be sealed all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from app.mailer.domain.campaign.json_text import escaped
from app.mailer.domain.campaign.server import IMAP_PORTS, SMTP_PORTS
from app.mailer.domain.mail_account import ServerPlace

#: What stands in the place of a secret: a reference to it by its own JSON Pointer.
MARK = "secret:"
_ONE_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")
#: What holds where a server says nothing: the security, and the port for each.
_SERVERS = {"smtp": ("starttls", SMTP_PORTS), "imap": ("tls", IMAP_PORTS)}


class _Place(NamedTuple):
    """Where a secret may stand: the object, its key, and the steps that lead there."""

    holder: dict[str, Any]
    key: str
    steps: tuple[str | int, ...]

    @property
    def pointer(self) -> str:
        return "".join(f"/{escaped(str(step))}" for step in self.steps)

    @property
    def mark(self) -> str:
        return f"{MARK}{self.pointer}"


def with_absolute_paths(raw: Mapping[str, Any], absolute: Callable[[str], str]) -> dict[str, Any]:
    """A copy of the file whose paths no longer depend on where the file stood."""
    config = deepcopy(dict(raw))
    for holder, key in _paths(config):
        holder[key] = absolute(holder[key])
    # Where nothing is said, the base is the file's own folder.
    config.setdefault("attachments", {}).setdefault("base_path", absolute("."))
    return config


def without_secrets(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy of the file with a reference in the place of each secret, and the secrets by pointer.

    Secrets are the passwords, what is literal in the archive's password, and the values of fields
    of type `secret`.
    """
    config = deepcopy(dict(raw))
    secrets: dict[str, Any] = {}
    for place in _secret_places(config):
        value = place.holder.get(place.key)
        if value is None or value == "":
            continue
        secrets[place.pointer] = value
        place.holder[place.key] = place.mark
    return config, secrets


def resealed(
    raw: Mapping[str, Any], stored: Mapping[str, Any], secrets: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A file that was edited, with references again, and all of its secrets by pointer.

    `stored` is what the editor was shown, with its `secrets`. A reference in `raw` keeps the secret
    that it names, also where entries or fields moved meanwhile; anything else is a new secret. A
    reference goes nowhere but to its like: the password of a server stays in its place, and is
    forgotten where the server is another one; the value of a field stays that field's, and is
    forgotten where the field is no secret any more, for checks and letters show what is none.
    """
    config = deepcopy(dict(raw))
    kept: dict[str, Any] = {}
    places = {place.steps: place for place in (*_secret_places(config), *_marked(config))}
    hidden = {place.steps for place in _secret_places(config, certain=True)}
    shown = {place.mark: place for place in _marked(stored)}
    for place in places.values():
        value = place.holder.get(place.key)
        if value is None or value == "":
            continue
        if not _is_mark(value):
            kept[place.pointer] = value
            place.holder[place.key] = place.mark
            continue
        source = shown.get(value)
        if (
            source is None
            or place.steps not in hidden
            or not _may_stand(source, stored, place, config)
        ):
            del place.holder[place.key]
            continue
        if source.pointer in secrets:
            kept[place.pointer] = secrets[source.pointer]
        elif source.steps != place.steps:
            # Kept elsewhere, for the place that it has.
            del place.holder[place.key]
            continue
        place.holder[place.key] = place.mark
    return config, kept


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


# ---------------------------------------------------------------- places, whatever the shape


def _secret_places(config: Mapping[str, Any], *, certain: bool = False) -> Iterator[_Place]:
    """Every place that may hold a secret.

    With `certain`, values of a name that is declared twice, once as something else, are left out:
    a check would show them.
    """
    server = _object(config.get("server"))
    for name in _SERVERS:
        if found := _object(server.get(name)):
            yield _Place(found, "password", ("server", name, "password"))
    zip_ = _object(_object(config.get("attachments")).get("zip"))
    password = zip_.get("password")
    if not (isinstance(password, str) and _ONE_PLACEHOLDER.fullmatch(password)):
        yield _Place(zip_, "password", ("attachments", "zip", "password"))
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for number, field in enumerate(map(_object, _list(config.get("fields")))):
        # However somebody is about to spell it.
        is_secret = str(field.get("type")).strip().lower() == "secret"
        if is_secret:
            yield _Place(field, "default", ("fields", number, "default"))
        if isinstance(field.get("name"), str):
            names[is_secret].add(field["name"])
    secret = names[True] - names[False] if certain else names[True]
    for holder, steps in _value_holders(config) if secret else ():
        for name in secret & holder.keys():
            yield _Place(holder, name, (*steps, name))


def _marked(config: Mapping[str, Any]) -> Iterator[_Place]:
    """Every place that has a reference, also where the field's type is another one by now."""
    yield from (place for place in _secret_places(config) if _is_mark(place.holder.get(place.key)))
    for number, field in enumerate(_list(config.get("fields"))):
        if _is_mark(_object(field).get("default")):
            yield _Place(field, "default", ("fields", number, "default"))
    for holder, steps in _value_holders(config):
        for name, value in holder.items():
            if _is_mark(value):
                yield _Place(holder, name, (*steps, name))


def _value_holders(
    config: Mapping[str, Any],
) -> Iterator[tuple[dict[str, Any], tuple[str | int, ...]]]:
    yield _object(config.get("global_values")), ("global_values",)
    for number, entry in enumerate(_list(_object(config.get("entries")).get("inline"))):
        if values := _object(_object(entry).get("values")):
            yield values, ("entries", "inline", number, "values")


def _may_stand(
    source: _Place, stored: Mapping[str, Any], place: _Place, config: Mapping[str, Any]
) -> bool:
    """Whether the secret of one place in the old file may stand in a place of the new one."""
    old, new = source.steps, place.steps
    if old[0] == "server":
        name = str(old[1])
        before, now = _server_place(stored, name), _server_place(config, name)
        if before is None or now is None or old != new:
            return False
        return now.may_keep_password_of(before)
    if old[0] == "fields" and new[0] == "fields":
        return bool(source.holder.get("name") == place.holder.get("name"))
    if old[0] == "entries" and new[0] == "entries":
        return old[-1] == new[-1]
    return old == new


def _server_place(config: Mapping[str, Any], name: str) -> ServerPlace | None:
    spec = _object(_object(config.get("server")).get(name))
    usual, ports = _SERVERS[name]
    host, security = spec.get("host"), spec.get("security", usual)
    if not isinstance(host, str) or not host or security not in ports:
        return None
    return ServerPlace(host, spec.get("port", ports[security]), security)


def _is_mark(value: object) -> bool:
    return isinstance(value, str) and value.startswith(f"{MARK}/")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
