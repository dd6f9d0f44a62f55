"""The example once more, this time by the API: `demo_service.py URL CAMPAIGN_FILE EVIDENCE_FILE`.

Signs in, uploads the folder, imports, builds and reviews a campaign, rehearses its queueing, and
fetches the evidence of the version that the commands sent.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import requests

_ID = re.compile(r"\b([0-9a-f]{6})[0-9a-f]{2}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: What the example refers to by paths; the campaign's own file goes by the request itself.
_SKIPPED = {"campaign.json"}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Office:
    """Somebody at the API, who sees each request and its answer in a line."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def sign_in(self) -> None:
        answer = self.ask(
            "POST",
            "/auth/login",
            json={
                "tenant_slug": "default",
                "email": "admin@example.local",
                "password": "dev-admin",
            },
        ).json()
        self._session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def ask(
        self, method: str, path: str, *, quiet: bool = False, **options: Any
    ) -> requests.Response:
        answer = self._session.request(method, f"{self._url}/api/v1{path}", timeout=60, **options)
        if not quiet:
            # Ids are shown by their beginning, so that a line is a line.
            shown = _ID.sub(r"\1…", path)
            say(f"{method:6} {shown}  →  {answer.status_code}")
        if not answer.ok:
            sys.exit(f"The demo stops: {method} {path} answered {answer.text}")
        return answer

    def upload(self, file: Path, path: str) -> int:
        """One file by the tus protocol, in one piece; its size."""
        data = file.read_bytes()
        said = {"path": path, "replace": "true"}
        metadata = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items()
        )
        tus = {"Tus-Resumable": "1.0.0"}
        begun = self.ask(
            "POST",
            "/files/uploads",
            quiet=True,
            headers={
                **tus,
                "Upload-Length": str(len(data)),
                "Upload-Metadata": metadata,
            },
        )
        self.ask(
            "PATCH",
            begun.headers["Location"].removeprefix("/api/v1"),
            quiet=True,
            data=data,
            headers={
                **tus,
                "Upload-Offset": "0",
                "Content-Type": "application/offset+octet-stream",
            },
        )
        return len(data)


def main(url: str, campaign_file: str, evidence_file: str) -> None:
    office = Office(url)
    office.sign_in()
    folder = Path(campaign_file).parent
    files = [
        each for each in sorted(folder.rglob("*")) if each.is_file() and each.name not in _SKIPPED
    ]
    size = sum(office.upload(each, each.relative_to(folder).as_posix()) for each in files)
    say(f"       {len(files)} files uploaded, {size / 1000:.0f} kB, folders kept")

    config = json.loads(Path(campaign_file).read_text(encoding="utf-8"))
    made = office.ask("POST", "/campaigns", json={"config": config}).json()
    campaign, version = made["campaign"]["id"], made["version"]["id"]
    say(f"       version {made['version']['number']} of “{made['campaign']['name']}”")

    built = office.ask(
        "POST", f"/campaigns/versions/{version}/build", headers={"Prefer": "wait=30"}
    ).json()
    say(f"       {built['status']}: {_counts(built['result']['entries'])}")
    office.ask("GET", f"/campaigns/{campaign}/versions/{version}/issues?limit=200")
    files_page = office.ask(
        "GET", f"/campaigns/{campaign}/versions/{version}/coverage/files?limit=200"
    ).json()["items"]
    say(f"       {len(files_page)} files of letters, and who gets each")
    first = office.ask("GET", f"/campaigns/{campaign}/jobs?limit=1&send_status=unqueued").json()
    job = first["items"][0]
    message = office.ask("GET", f"/campaigns/{campaign}/jobs/{job['id']}/message.eml")
    say(f"       {len(message.content):,} bytes, as they would leave")
    queued = office.ask("POST", f"/campaigns/{campaign}/queue", json={"dry_run": True}).json()
    say(f"       would queue {queued['queued']}; got one before: {queued['already_sent']}")

    versions = office.ask("GET", f"/campaigns/{campaign}/versions").json()["items"]
    sent = min(versions, key=lambda each: each["number"])
    evidence = office.ask("GET", f"/campaigns/{campaign}/versions/{sent['id']}/evidence.zip")
    Path(evidence_file).write_bytes(evidence.content)


def _counts(summary: dict[str, int]) -> str:
    return ", ".join(f"{state} {number}" for state, number in summary.items())


if __name__ == "__main__":
    main(*sys.argv[1:])
