"""A tenant with something of everything, made through the API as its owner makes it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from fastapi.testclient import TestClient
from sqlalchemy import inspect, text

from app.access.actor import Actor
from app.access.scopes import Scope
from app.bootstrap.program import Program
from app.mailer.services.send_campaign import send_campaign

V1 = "/api/v1"
PASSWORD = "a password of {name} for nobody"


@dataclass
class Estate:
    """One tenant. `ids` are those of its things, by the name of the parameter that takes them.

    Every text that names something of it has `name` in it.
    """

    name: str
    tenant_id: UUID
    program: Program
    owner: TestClient
    smtp_port: int
    ids: dict[str, str] = field(default_factory=dict)
    #: Signed in with a password.
    person: TestClient | None = None

    # -- building

    def sent(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.owner.request(method, f"{V1}{path}", json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def build(self) -> Estate:
        self._people()
        self._account()
        self._files()
        self._campaign()
        self._built()
        self._delivered()
        self._edited()
        return self

    def _people(self) -> None:
        name = self.name
        role = self.sent("POST", "/admin/roles", {"name": f"{name} readers", "scopes": ["*"]})
        group = self.sent("POST", "/admin/groups", {"name": f"{name} group"})
        password = PASSWORD.format(name=name)
        user = self.sent(
            "POST",
            "/admin/users",
            {
                "email": f"ada@{name}.example.org",
                "display_name": f"Ada {name}",
                "password": password,
            },
        )
        self.ids |= {"role_id": role["id"], "group_id": group["id"], "user_id": user["id"]}
        self.sent("PUT", f"/admin/users/{user['id']}/roles", {"role_ids": [role["id"]]})
        self.sent("PUT", f"/admin/groups/{group['id']}/members", {"user_ids": [user["id"]]})
        self.sent("PUT", f"/admin/groups/{group['id']}/roles", {"role_ids": [role["id"]]})
        key = self.sent(
            "POST", "/admin/api-keys", {"name": f"{name} key", "scopes": ["campaign:read"]}
        )
        self.ids["key_id"] = key["id"]
        login = {"tenant_slug": name, "email": f"ada@{name}.example.org", "password": password}
        token = self.sent("POST", "/auth/login", login)["access_token"]
        self.person = TestClient(self.owner.app, headers={"Authorization": f"Bearer {token}"})
        self._second_factor(password)
        sessions = self.sent("GET", f"/admin/users/{user['id']}/sessions")
        self.ids["session_id"] = sessions["items"][0]["id"]

    def _second_factor(self, password: str) -> None:
        assert self.person is not None
        begun = self.person.post(f"{V1}/auth/totp", json={"password": password}).json()
        key = base64.b32decode(begun["secret"])
        code = TOTP(key, 6, SHA1(), 30).generate(self.program.clock.now().timestamp()).decode()
        answer = self.person.post(f"{V1}/auth/totp/confirm", json={"code": code})
        assert answer.status_code == 200, answer.text

    def _account(self) -> None:
        name = self.name
        account = self.sent(
            "POST",
            "/accounts",
            {
                "name": f"{name} office",
                "smtp": {"host": "127.0.0.1", "port": self.smtp_port, "security": "plain"},
                # Nobody answers there: the copies stay to be filed.
                "imap": {"host": "127.0.0.1", "port": 9, "security": "plain", "username": name},
            },
            **{"Idempotency-Key": f"{name}-office"},
        )
        self.ids["account_id"] = account["id"]

    def _files(self) -> None:
        text = f"Something of {self.name} to read.".encode()
        self._upload(f"{self.name}/letter.txt", text, whole=True)
        self._upload(f"{self.name}/later.txt", text, whole=False)
        files = self.sent("GET", "/files")["items"]
        self.ids["file_id"] = files[0]["id"]
        uploads = self.sent("GET", "/files/uploads")["items"]
        self.ids["upload_id"] = uploads[0]["id"]

    def _upload(self, path: str, data: bytes, *, whole: bool) -> None:
        tus = {"Tus-Resumable": "1.0.0"}
        encoded = base64.b64encode(path.encode()).decode()
        made = self.sent(
            "POST",
            "/files/uploads",
            None,
            **tus,
            **{"Upload-Length": str(len(data)), "Upload-Metadata": f"path {encoded}"},
        )
        answer = self.owner.patch(
            f"{V1}/files/uploads/{made['id']}",
            content=data if whole else data[:4],
            headers={
                **tus,
                "Upload-Offset": "0",
                "Content-Type": "application/offset+octet-stream",
            },
        )
        assert answer.status_code == 204, answer.text

    def _document(self) -> dict[str, Any]:
        name = self.name
        people = [{"id": f"{name}-{n}", "to": [f"person{n}@{name}.example.org"]} for n in range(4)]
        # The same address twice is for a person to decide.
        people.append({"id": f"{name}-twin", "to": [f"person0@{name}.example.org"]})
        return {
            "version": "1.0",
            "campaign": {"id": "letters", "name": f"Letters of {name}", "mode": "send"},
            "server": {"account": f"{name} office"},
            "recipients": {"from": f"Office <office@{name}.example.org>"},
            "template": {
                "subject": f"From {name}",
                "text": f"Good day from {name}.",
                "html": f"<p>Good day from {name}.</p>",
            },
            "attachments": {
                "base_path": ".",
                "global": [{"base_dir": name, "file_filter": "letter.txt"}],
            },
            "entries": {"inline": people},
            "delivery": {"imap_append_sent": {"enabled": True}},
        }

    def _campaign(self) -> None:
        made = self.sent("POST", "/campaigns", {"config": self._document()})
        self.ids |= {
            "campaign_id": made["campaign"]["id"],
            "version_id": made["version"]["id"],
        }

    def _built(self) -> None:
        version = f"/campaigns/versions/{self.ids['version_id']}"
        for step in ("validate", "build"):
            operation = self.sent("POST", f"{version}/{step}")
            self._work()
            done = self.sent("GET", f"/operations/{operation['id']}")
            assert done["status"] == "succeeded", done
            self.ids["operation_id"] = operation["id"]

    def _delivered(self) -> None:
        campaign = f"/campaigns/{self.ids['campaign_id']}"
        jobs = self.sent("GET", f"{campaign}/jobs")["items"]
        twin = next(job for job in jobs if job["build_status"] == "needs_review")
        self.sent(
            "POST",
            f"{campaign}/jobs/{twin['id']}/decision",
            {"decision": "exclude", "reason": f"{self.name} says so"},
        )
        version = f"{campaign}/versions/{self.ids['version_id']}"
        self.sent("POST", f"{version}/approve", {"reason": f"{self.name} looked at them"})
        self.sent("POST", f"{campaign}/queue")
        self._send(limit=1)
        (sent,) = self.sent("GET", f"{campaign}/jobs?send_status=sent")["items"]
        self.ids["job_id"] = sent["id"]
        self.sent("POST", f"{campaign}/append-sent", {})
        self._work()
        self.sent("POST", f"{campaign}/report/email", {"to": ["x@example.org"], "dry_run": True})

    def _edited(self) -> None:
        """The built version is followed by a draft, which somebody holds."""
        campaign = f"/campaigns/{self.ids['campaign_id']}"
        answer = self.owner.put(
            f"{V1}{campaign}/versions/{self.ids['version_id']}",
            json={"campaign_json": {**self._document(), "global_values": {}}},
            headers={"If-Match": "*"},
        )
        assert answer.status_code == 201, answer.text
        answer = self.person.post(f"{V1}{campaign}/versions/{answer.json()['id']}/lock", json={})
        assert answer.status_code == 200, answer.text

    def _work(self) -> None:
        worker = self.program.worker("estate", threading.Event())
        while worker.run_next():
            pass

    def _send(self, limit: int) -> None:
        journal = self.program.journal(self.tenant_id)
        try:
            send_campaign(
                self.program.outbox(),
                Actor.system(self.tenant_id, "estate", [Scope.EVERYTHING]),
                UUID(self.ids["campaign_id"]),
                journal=journal,
                limit=limit,
                rate_limit=False,
                stop=threading.Event(),
                on_start=lambda _total: None,
                on_done=lambda _job, _status: None,
            )
        finally:
            journal.close(settled=True)

    # -- looking

    def rows(self) -> dict[str, list[Mapping[str, Any]]]:
        """Every row of the tenant, by table."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        engine = self.program.engine
        with engine.connect() as connection:
            for table in inspect(engine).get_table_names():
                rows = connection.execute(text(f'SELECT * FROM "{table}"')).mappings()
                own = [dict(row) for row in rows if self._is_own(table, row)]
                found[table] = sorted(own, key=str)
        return found

    def _is_own(self, table: str, row: Mapping[str, Any]) -> bool:
        owner = row["id"] if table == "tenants" else row.get("tenant_id")
        return owner is not None and UUID(str(owner)) == self.tenant_id
