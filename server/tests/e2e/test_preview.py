"""The HTML of a letter, shown in a real browser: no script of it runs, and nothing is fetched.

DOMPurify's own payloads and more of that kind, one letter each, alone and in a frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tests.e2e.scratch import KEY, copy_server
from tests.e2e.watched_browser import watched
from tests.servers.chromium import why_not
from tests.servers.service import Service

pytestmark = pytest.mark.timeout(300)

_DATA = Path(__file__).parent / "data"
_PURIFY: list[str] = json.loads((_DATA / "dompurify/payloads.json").read_text("utf-8"))
_OWN: dict[str, Any] = json.loads((_DATA / "leaks.json").read_text("utf-8"))
_PAYLOADS = [*_PURIFY, *_OWN["scripts"], *_OWN["leaks"], *_OWN["dormant"]]


@pytest.fixture(autouse=True)
def _with_browser() -> None:
    if reason := why_not():
        pytest.skip(reason)


# -- the same pages, unprotected


@contextmanager
def _bare_pages(pages: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Serves each page as it is; its own address, and the paths that it was asked for."""
    asked: list[str] = []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            number = self.path.removeprefix("/")
            body = pages[int(number)].encode() if number.isdigit() else b"x"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_unprotected_each_of_them_runs_or_fetches_and_is_seen(tmp_path: Path) -> None:
    """Without this, a browser that sees nothing would prove anything."""
    pages = [each.replace("alert(1)", f"alert({n})") for n, each in enumerate(_OWN["scripts"])]
    leaks = range(len(pages), len(pages) + len(_OWN["leaks"]))
    for n, each in zip(leaks, _OWN["leaks"], strict=True):
        marked = each.replace("leak.example", f"n{n}.leak.example")
        pages.append(marked.replace("/health", f"/health?{n}").replace("src=x>", f"src=x?{n}>"))
    with _bare_pages(pages) as (origin, asked), watched(tmp_path, origin, {}) as browser:
        browser.show([f"{origin}/{n}" for n in range(len(pages))], pause=150)
        seen = browser.seen
    heard = b"\n".join(seen.connections).decode("latin-1") + "\n".join(asked)
    silent = [pages[n] for n in leaks if f"n{n}.leak.example" not in heard and f"?{n}" not in heard]
    assert silent == []
    silent = [each for n, each in enumerate(_OWN["scripts"]) if str(n) not in seen.dialogs]
    assert silent == []
    assert len(seen.scripts) >= len(_OWN["scripts"])
    assert browser.looked_up("leak.example")


# -- the preview


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("preview")
    with Service(server=copy_server(folder)) as service:
        yield service


@pytest.fixture(scope="module")
def previews(service: Service) -> list[str]:
    """The address of each payload's preview."""
    session = requests.Session()
    session.headers["X-API-Key"] = KEY
    api = f"{service.url}/api/v1"

    def sent(method: str, path: str, **body: Any) -> Any:
        answer = session.request(method, f"{api}{path}", json=body or None, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    sent("PATCH", "/admin/tenant", jinja_allowed=True)
    made = sent("POST", "/campaigns", config=_campaign())
    version = made["version"]["id"]
    build = f"/campaigns/versions/{version}/build"
    answer = session.post(f"{api}{build}", headers={"Prefer": "wait=30"}, timeout=60)
    assert answer.json()["status"] == "succeeded", answer.text
    path = f"/campaigns/{made['campaign']['id']}/jobs"
    jobs = sent("GET", f"{path}?limit=500&sort=position")["items"]
    assert len(jobs) == len(_PAYLOADS)
    return [f"{api}{path}/{job['id']}/preview.html" for job in jobs]


def _campaign() -> dict[str, Any]:
    """One entry for each payload, which its letter has as its HTML."""
    branches = [
        f"{{% if local.n == {n} %}}{{% raw %}}{each}{{% endraw %}}{{% endif %}}"
        for n, each in enumerate(_PAYLOADS)
    ]
    entries = [
        {"id": f"e{n}", "to": [f"p{n}@example.org"], "values": {"n": n}}
        for n in range(len(_PAYLOADS))
    ]
    return {
        "version": "1.0",
        "campaign": {"id": "payloads", "name": "Payloads"},
        "fields": [{"name": "n", "type": "integer"}],
        "server": {"smtp": {"host": "127.0.0.1", "port": 9, "security": "plain"}},
        "recipients": {"from": "sender@example.org"},
        "template": {"engine": "jinja2", "subject": "Hello", "html": "".join(branches)},
        "entries": {"inline": entries},
    }


def test_each_payload_is_in_its_letter(previews: list[str]) -> None:
    for number, url in enumerate(previews):
        source = url.removesuffix("preview.html") + "preview"
        shown = requests.get(source, headers={"X-API-Key": KEY}, timeout=10).json()
        assert shown["html"], (number, shown)


@pytest.mark.parametrize("way", ["alone", "in a frame"])
def test_no_payload_runs_or_fetches_anything(
    service: Service, previews: list[str], tmp_path: Path, way: str
) -> None:
    before = service.log
    with watched(tmp_path, service.url, {"X-API-Key": KEY}) as browser:
        if way == "alone":
            browser.show(previews)
        else:
            # A frame that is sandboxed on its own as well could only do less.
            browser.frame(previews)
    seen = browser.seen
    assert (seen.scripts, seen.dialogs, seen.surprises, seen.connections) == ([], [], [], [])
    assert not browser.looked_up("leak.example")
    log = service.log.removeprefix(before)
    asked = [line for line in log.splitlines() if '"GET ' in line]
    wanted = [url.removeprefix(service.url) for url in previews]
    assert sorted(line.split('"GET ')[1].split(" ")[0] for line in asked) == sorted(wanted)
    assert all(line.endswith("200 OK") for line in asked)
