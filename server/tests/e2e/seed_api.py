"""The story of the API: the first requests that a user types, in their order, by curl and requests.

`uvicorn app.main:app --reload` runs as it is typed, in a copy of the program.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.scratch import copy_server, shell
from tests.servers.service import Service

_WRITTEN = "http://127.0.0.1:8000"
#: What curl adds to the lines below, so that they can stay as they are.
_CURLRC = 'silent\nshow-error\nmax-time = 60\nwrite-out = "\\n%{http_code}"\n'
_KEY = "-H 'X-API-Key: dev-multimailer-api-key'"
_JSON = "-H 'Content-Type: application/json'"

_LINES = {
    "health": "curl http://localhost:8000/health",
    "list none": r"""
curl -H 'X-API-Key: dev-multimailer-api-key' \
http://127.0.0.1:8000/api/v1/campaigns""",
    "create": r"""
python - <<'PY'
import json, requests
config = json.load(open('app/mailer/examples/campaign.json'))
response = requests.post(
'http://127.0.0.1:8000/api/v1/campaigns',
headers={'X-API-Key': 'dev-multimailer-api-key'},
json={'config': config, 'source_filename': 'app/mailer/examples/campaign.json'},
)
print(response.status_code)
print(response.text)
PY""",
    "list": r"""
curl -H 'X-API-Key: dev-multimailer-api-key' \
http://127.0.0.1:8000/api/v1/campaigns""",
    "new": r"""
curl -X POST 'http://127.0.0.1:8000/api/v1/campaigns/new' \
-H 'Content-Type: application/json' \
-H 'X-API-Key: dev-multimailer-api-key' \
-d '{
"external_id": "my-new-campaign",
"name": "My New Campaign",
"description": "Created from the WebUI wizard",
"current_flow": "create",
"current_step": "basics"
}'""",
    "autosave": r"""
curl -X POST 'http://127.0.0.1:8000/api/v1/campaigns/<new-id>/versions/<draft-id>/autosave' \
-H 'Content-Type: application/json' \
-H 'X-API-Key: dev-multimailer-api-key' \
-d '{
"campaign_json": {"version": "1.0", "campaign": {"id": "my-new-campaign", "name": "My New Campaign", "mode": "draft"}},
"current_flow": "create",
"current_step": "recipients",
"is_complete": false
}'""",  # noqa: E501 - as it is written
    "validate partial": r"""
curl -X POST 'http://127.0.0.1:8000/api/v1/campaigns/<new-id>/versions/<draft-id>/validate-partial' \
-H 'Content-Type: application/json' \
-H 'X-API-Key: dev-multimailer-api-key' \
-d '{"section": "recipients"}'""",  # noqa: E501 - as it is written
    "login": r"""
curl -X POST http://127.0.0.1:8000/api/v1/auth/login \
-H 'Content-Type: application/json' \
-d '{"tenant_slug":"default","email":"admin@example.local","password":"dev-admin"}'""",
    "list as user": r"""
curl -H 'Authorization: Bearer <token>' \
http://127.0.0.1:8000/api/v1/campaigns""",
    "list by bearer key": r"""
curl -H 'Authorization: Bearer dev-multimailer-api-key' \
http://127.0.0.1:8000/api/v1/campaigns""",
}


def _get(path: str) -> str:
    return f"curl {_KEY} 'http://127.0.0.1:8000/api/v1{path}'"


def _post(path: str, body: str | None = None, method: str = "POST") -> str:
    sent = "" if body is None else f" {_JSON} -d '{body}'"
    return f"curl -X {method} {_KEY}{sent} 'http://127.0.0.1:8000/api/v1{path}'"


_VERSION = "/campaigns/<campaign-id>/versions/<version-id>"
_DRAFT = "/campaigns/<new-id>/versions/<draft-id>"
#: Every other path that the readme names, with the bodies and filters that stand there.
_PATHS = {
    "schema": _get("/schemas/campaign"),
    "campaign": _get("/campaigns/<campaign-id>"),
    "versions": _get("/campaigns/<campaign-id>/versions"),
    "version": _get(_VERSION),
    "put": _post(
        _DRAFT,
        '{"campaign_json": {"version": "1.0", "campaign": {"id": "my-new-campaign",'
        ' "name": "My Newer Campaign"}}, "current_step": "template"}',
        "PUT",
    ),
    "set step": _post(f"{_DRAFT}/set-step", '{"current_flow": "create", "current_step": "sender"}'),
    "validate": _post("/campaigns/versions/<version-id>/validate"),
    "build": _post("/campaigns/versions/<version-id>/build"),
    "jobs": _get("/campaigns/<campaign-id>/jobs"),
    "queue": _post("/campaigns/<campaign-id>/queue", '{"dry_run": true}'),
    "queue all": _post("/campaigns/<campaign-id>/queue"),
    "pause": _post("/campaigns/<campaign-id>/pause"),
    "resume": _post("/campaigns/<campaign-id>/resume"),
    "append": _post(
        "/campaigns/<campaign-id>/append-sent", '{\n"enqueue_celery": true,\n"dry_run": false\n}'
    ),
    "summary": _get("/campaigns/<campaign-id>/summary"),
    "report": _get("/campaigns/<campaign-id>/report"),
    "jobs csv": _get("/campaigns/<campaign-id>/report/jobs.csv"),
    "email": _post(
        "/campaigns/<campaign-id>/report/email",
        '{\n"to": ["recipient@example.org"],\n"include_jobs": false,\n"attach_jobs_csv": true,\n'
        '"attach_report_json": false,\n"dry_run": true\n}',
    ),
    "audit": _get("/audit"),
    "audit filtered": _get(
        "/audit?action=campaign.queued&object_type=campaign&object_id=<campaign-id>"
        "&limit=100&offset=0"
    ),
    "key": _post("/admin/api-keys", '{"name": "Reports", "scopes": ["campaign:read"]}'),
    "cancel": _post("/campaigns/<campaign-id>/cancel"),
}


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and the body as it is."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Story:
    """Everything that was answered, and the operations that were waited for, at their end."""

    answers: dict[str, Answer] = field(default_factory=dict)
    operations: dict[str, Any] = field(default_factory=dict)
    log: str = ""


def tell(folder: Path, database_url: str) -> Story:
    """Runs every line against a service of its own."""
    story = Story()
    server = copy_server(folder)
    (folder / ".curlrc").write_text(_CURLRC)
    known: dict[str, str] = {}

    def run(name: str, line: str) -> None:
        for mark, value in known.items():
            line = line.replace(f"<{mark}>", value)
        line = line.replace(_WRITTEN, service.url).replace("localhost:8000", f"localhost:{port}")
        done = shell(line, server, CURL_HOME=str(folder))
        assert done.code == 0, f"{name}: {done}"
        if name == "create":
            status, _, text = done.out.partition("\n")
        else:
            text, _, status = done.out.rpartition("\n")
        story.answers[name] = Answer(int(status), text)
        _learn(known, name, story.answers[name])
        if story.answers[name].status == 202:
            story.operations[name] = _finished(run, story, story.answers[name].json["id"])

    with Service("--reload", server=server, DATABASE_URL=database_url) as service:
        port = service.port
        for name, line in {**_LINES, **_PATHS}.items():
            run(name, line)
        story.log = service.log
    return story


def _learn(known: dict[str, str], name: str, answer: Answer) -> None:
    if name == "create":
        known["campaign-id"] = answer.json["campaign"]["id"]
        known["version-id"] = answer.json["version"]["id"]
    elif name == "new":
        known["new-id"] = answer.json["campaign"]["id"]
        known["draft-id"] = answer.json["version"]["id"]
    elif name == "login":
        known["token"] = answer.json["access_token"]


def _finished(run: Any, story: Story, operation: str) -> Any:
    """The operation at its end, asked for as a user would."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        run("operation", _get(f"/operations/{operation}"))
        found = story.answers["operation"].json
        if found["finished_at"] is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"The operation does not end: {found}")
