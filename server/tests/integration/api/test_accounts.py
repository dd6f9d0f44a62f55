"""Mail accounts by the API: what goes in, what comes out, and what never does."""

from __future__ import annotations

import _socket
import json
import socket
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.db.models import AuditEntry, MailAccount
from app.mailer.services.account_servers import opened_password
from tests.integration.api.conftest import Api
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import SmtpServer

PATH = "/api/v1/accounts"
SMTP = {
    "host": "mail.example.org",
    "security": "starttls",
    "username": "office@example.org",
    "password": "smtp-hunter2",
}
IMAP = {"host": "imap.example.org", "username": "office@example.org", "password": "imap-hunter2"}
MASTER = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def make(api: Api, **others: Any) -> dict[str, Any]:
    body = {"name": "office", "smtp": SMTP, "imap": IMAP, **others}
    answer = api.acme.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json() | {"etag": answer.headers["etag"]}


def passwords(api: Api, account_id: str) -> tuple[str | None, str | None]:
    with api.program.sessions() as session:
        account = session.get_one(MailAccount, UUID(account_id))
        smtp, imap = (
            opened_password(account, server, api.program.box) for server in ("smtp", "imap")
        )
    return smtp, imap


def entries(api: Api, action: str) -> list[AuditEntry]:
    with api.program.sessions() as session:
        found = session.scalars(select(AuditEntry).where(AuditEntry.action == action))
        return list(found.all())


def test_an_account_comes_back_without_its_passwords(api: Api) -> None:
    made = make(api, per_minute=30, from_addresses=["Office@Example.org", " @EXAMPLE.net"])
    assert made["smtp"] == {
        "host": "mail.example.org",
        "port": 587,
        "security": "starttls",
        "auth": "password",
        "username": "office@example.org",
        "password_set": True,
    }
    assert (made["imap"]["port"], made["imap"]["sent_folder"]) == (993, "auto")
    assert made["from_addresses"] == ["office@example.org", "@example.net"]
    assert (made["revision"], made["campaign_id"], made["check_result"]) == (1, None, None)
    answer = api.acme.get(f"{PATH}/{made['id']}")
    assert answer.headers["etag"] == made["etag"]
    assert answer.json() == {key: value for key, value in made.items() if key != "etag"}
    assert "hunter2" not in answer.text + json.dumps(made)
    assert passwords(api, made["id"]) == ("smtp-hunter2", "imap-hunter2")


def test_nobody_without_the_scope_and_nobody_of_another_tenant(api: Api) -> None:
    one = f"{PATH}/{make(api)['id']}"
    reader = api.client("accounts:read")
    assert reader.get(one).status_code == 200
    assert reader.patch(one, json={"name": "x"}).status_code == 403
    assert reader.delete(one).status_code == 403
    assert reader.post(f"{one}/check").status_code == 403
    assert reader.post(PATH, json={"name": "x", "smtp": SMTP}).status_code == 403
    assert api.client("campaign:read").get(PATH).status_code == 403
    for answer in (
        api.rival.get(one),
        api.rival.patch(one, json={"name": "x"}),
        api.rival.delete(one),
        api.rival.post(f"{one}/check"),
        api.acme.get(f"{PATH}/{uuid4()}"),
        api.acme.get(PATH, params={"campaign_id": str(uuid4())}),
    ):
        assert answer.status_code == 404, answer.text
    assert api.rival.get(PATH).json()["items"] == []


def test_a_patch_changes_what_is_sent_alone(api: Api) -> None:
    made = make(api, per_hour=500)
    answer = api.acme.patch(
        f"{PATH}/{made['id']}", json={"smtp": {"port": 465, "security": "tls"}, "concurrency": 3}
    )
    now = answer.json()
    assert answer.status_code == 200
    assert now["smtp"] == made["smtp"] | {"port": 465, "security": "tls"}
    assert (now["imap"], now["per_hour"], now["concurrency"]) == (made["imap"], 500, 3)
    assert now["revision"] == 2
    assert passwords(api, made["id"]) == ("smtp-hunter2", "imap-hunter2")
    same = api.acme.patch(f"{PATH}/{made['id']}", json={"concurrency": 3})
    assert same.json()["revision"] == 2
    assert len(entries(api, "account.updated")) == 1


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"host": "evil.example"}, False),
        ({"host": "MAIL.example.org"}, True),
        ({"security": "plain"}, False),
        ({"security": "plain", "port": 25}, False),
        ({"security": "tls", "port": 465}, True),
        ({"port": 2525}, True),
        ({"username": "other@example.org"}, True),
        ({"password": None}, False),
        ({"host": "evil.example", "port": 587, "security": "tls"}, False),
    ],
)
def test_a_server_elsewhere_forgets_its_password(
    api: Api, change: dict[str, Any], kept: bool
) -> None:
    made = make(api)
    now = api.acme.patch(f"{PATH}/{made['id']}", json={"smtp": change}).json()
    assert now["smtp"]["password_set"] is kept
    smtp, imap = passwords(api, made["id"])
    assert smtp == ("smtp-hunter2" if kept else None)
    assert imap == "imap-hunter2"


def test_there_and_back_again_does_not_bring_it_back(api: Api) -> None:
    one = f"{PATH}/{make(api)['id']}"
    api.acme.patch(one, json={"smtp": {"host": "evil.example"}})
    now = api.acme.patch(one, json={"smtp": {"host": "mail.example.org"}}).json()
    assert now["smtp"]["password_set"] is False


def test_a_new_host_may_bring_its_password(api: Api) -> None:
    made = make(api)
    change = {"smtp": {"host": "new.example", "password": "new-hunter2"}, "imap": None}
    now = api.acme.patch(f"{PATH}/{made['id']}", json=change).json()
    assert now["imap"] is None
    assert passwords(api, made["id"]) == ("new-hunter2", None)
    (entry,) = entries(api, "account.updated")
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["smtp_host"], entry.after["smtp_host"]) == (
        "mail.example.org",
        "new.example",
    )
    assert entry.before["smtp_password"] == entry.after["smtp_password"] == "(redacted)"
    assert entry.after["imap_password"] is None
    assert "hunter2" not in str([entry.details, entry.before, entry.after])


def test_two_who_change_an_account_do_not_overwrite_each_other(api: Api) -> None:
    made = make(api)
    one = f"{PATH}/{made['id']}"
    first = api.acme.patch(one, json={"per_day": 10}, headers={"If-Match": made["etag"]})
    assert first.status_code == 200
    for request in (
        lambda: api.acme.patch(one, json={"per_day": 20}, headers={"If-Match": made["etag"]}),
        lambda: api.acme.delete(one, headers={"If-Match": made["etag"]}),
        lambda: api.acme.delete(one, headers={"If-Match": '"nonsense"'}),
    ):
        late = request()
        assert (late.status_code, late.json()["type"]) == (409, "/problems/changed-meanwhile")
        assert late.json()["current"]["per_day"] == 10
        assert late.headers["etag"] == first.headers["etag"]
        assert "hunter2" not in late.text
    again = api.acme.patch(one, json={"per_day": 20}, headers={"If-Match": late.headers["etag"]})
    assert again.json()["per_day"] == 20
    assert api.acme.delete(one, headers={"If-Match": "*"}).status_code == 204
    assert api.acme.get(one).status_code == 404
    assert entries(api, "account.deleted")[0].before is not None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": " ", "smtp": SMTP},
        {"name": "x\n", "smtp": {**SMTP, "host": "a b"}},
        {"name": "x", "smtp": {"host": "user:hunter2@mail.example.org"}},
        {"name": "x", "smtp": {"host": "h", "password": "hunter2"}},
        {"name": "x", "smtp": {**SMTP, "password": "hunter2\r\nQUIT"}},
        {"name": "x", "smtp": {**SMTP, "password": ["hunter2"]}},
        {"name": "x", "smtp": {**SMTP, "port": 0}},
        {"name": "x", "smtp": {**SMTP, "security": "ssl"}},
        {"name": "x", "smtp": SMTP, "per_minute": 0},
        {"name": "x", "smtp": SMTP, "per_hour": 2**40},
        {"name": "x", "smtp": SMTP, "from_addresses": ["office@example.org", "not one", "@"]},
        {"name": "x", "smtp": SMTP, "smpt": {}},
    ],
)
def test_what_is_wrong_is_refused_and_repeats_no_secret(api: Api, body: dict[str, Any]) -> None:
    answer = api.acme.post(PATH, json=body)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert api.acme.get(PATH).json()["items"] == []


def test_a_patch_cannot_leave_half_a_server(api: Api) -> None:
    one = f"{PATH}/{make(api, imap=None)['id']}"
    answer = api.acme.patch(one, json={"imap": {"port": 993}})
    assert (answer.status_code, answer.json()["detail"]) == (422, "The IMAP server has no host.")
    assert api.acme.patch(one, json={"smtp": None}).status_code == 422
    assert api.acme.patch(one, json={"name": None}).status_code == 422
    assert api.acme.get(one).json()["imap"] is None


def test_a_name_is_there_once(api: Api) -> None:
    make(api)
    again = api.acme.post(PATH, json={"name": "office", "smtp": SMTP})
    assert (again.status_code, "office" in again.json()["detail"]) == (409, True)
    other = make(api, name="other")
    assert api.acme.patch(f"{PATH}/{other['id']}", json={"name": "office"}).status_code == 409
    assert api.rival.post(PATH, json={"name": "office", "smtp": SMTP}).status_code == 201


def test_the_list_is_paged_searched_and_sorted(api: Api) -> None:
    for name in ("Bursar", "archive", "Choir", "100%"):
        make(api, name=name, smtp={**SMTP, "host": f"{name.strip('%').lower()}.example"})

    def names(**query: Any) -> list[str]:
        answer = api.acme.get(PATH, params=query)
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["items"]]

    assert names(search="CHOIR") == ["Choir"]
    assert names(search="archive.ex") == ["archive"]
    assert names(search="%") == ["100%"]
    assert names(search="\0") == []
    assert names(sort="-created_at") == ["100%", "Choir", "archive", "Bursar"]
    first = api.acme.get(PATH, params={"limit": 3, "sort": "created_at"}).json()
    assert [each["name"] for each in first["items"]] == ["Bursar", "archive", "Choir"]
    rest = names(limit=3, sort="created_at", cursor=first["next_cursor"])
    assert rest == ["100%"]
    assert api.acme.get(PATH, params={"sort": "smtp_password"}).status_code == 422


def test_a_private_host_needs_the_operators_leave(
    make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Literal addresses need no network, which is all that the usual guard of tests is about.
    monkeypatch.setattr(socket, "getaddrinfo", _socket.getaddrinfo)
    api = make_api(
        app_env="test",
        master_key_b64=MASTER,
        allowed_private_hosts="mail.intern,10.1.0.0/16",
    )

    def status(host: str) -> int:
        body = {"name": host, "smtp": {"host": host}}
        return api.acme.post(PATH, json=body).status_code

    refused = ["127.0.0.1", "localhost", "169.254.169.254", "10.2.0.1", "::1", "0", "0x7f000001"]
    assert {host: status(host) for host in refused} == dict.fromkeys(refused, 422)
    allowed = ["10.1.2.3", "203.0.114.1", "2001:4860:4860::8888"]
    assert {host: status(host) for host in allowed} == dict.fromkeys(allowed, 201)
    made = make(api, smtp={"host": "203.0.114.1"}, imap=None)
    answer = api.acme.patch(f"{PATH}/{made['id']}", json={"imap": {"host": "192.168.0.1"}})
    assert (answer.status_code, "ALLOWED_PRIVATE_HOSTS" in answer.json()["hint"]) == (422, True)


# -- the check of an account


def test_a_check_says_what_both_servers_offer(
    api: Api, dovecot: DovecotServer, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(users={"office": "smtp-hunter2"}, size_limit=5_000_000)
    user = dovecot.new_user()
    made = make(
        api,
        smtp={
            "host": server.host,
            "port": server.port,
            "security": "plain",
            "username": "office",
            "password": "smtp-hunter2",
        },
        imap={
            "host": dovecot.host,
            "port": dovecot.port,
            "security": "plain",
            "username": user,
            "password": PASSWORD,
        },
    )
    answer = api.acme.post(f"{PATH}/{made['id']}/check")
    found = answer.json()
    assert (answer.status_code, found["ok"]) == (200, True), found
    assert found["smtp"]["message"] == "The login as “office” worked."
    assert found["smtp"]["mechanisms"] == ["LOGIN", "PLAIN"]
    assert found["smtp"]["size_limit"] == 5_000_000
    assert "SMTPUTF8" in found["smtp"]["extensions"]
    assert found["imap"]["sent_folder"] == "Gesendet"
    assert "IMAP4REV1" in found["imap"]["capabilities"]
    assert server.messages == []
    kept = api.acme.get(f"{PATH}/{made['id']}").json()
    assert (kept["check_result"], kept["revision"]) == (found, 1)
    assert kept["checked_at"] is not None
    assert len(entries(api, "account.checked")) == 1
    moved = api.acme.patch(f"{PATH}/{made['id']}", json={"smtp": {"port": 1}}).json()
    assert (moved["checked_at"], moved["check_result"]) == (None, None)


def test_a_check_says_what_is_wrong_in_words(
    api: Api, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(users={"office": "another"})
    made = make(
        api,
        smtp={
            "host": server.host,
            "port": server.port,
            "security": "plain",
            "username": "office",
            "password": "smtp-hunter2",
        },
        imap={**IMAP, "host": "127.0.0.1", "port": server.port, "security": "plain"},
    )
    answer = api.acme.post(f"{PATH}/{made['id']}/check")
    found = answer.json()
    assert (answer.status_code, found["ok"]) == (200, False)
    assert "“office” or its password was refused" in found["smtp"]["message"]
    assert "no IMAP server is speaking there" in found["imap"]["message"]
    assert "hunter2" not in answer.text
