"""The page about the API in a real browser that reaches nothing but the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.scratch import copy_server
from tests.servers.chromium import chromium, why_not
from tests.servers.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("docs")
    with Service(server=copy_server(folder)) as service:
        yield service


def test_the_page_is_whole_without_any_other_host(service: Service) -> None:
    if reason := why_not():
        pytest.skip(reason)
    complaints: list[str] = []
    asked: list[str] = []
    with chromium() as browser:
        tab = browser.new_page()
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{service.url}/docs")
        tab.wait_for_selector(".opblock-tag-section .opblock", timeout=20_000)
    assert [each for each in complaints if each.startswith(("error", "warning"))] == []
    assert [url for url in asked if not url.startswith((service.url, "data:", "blob:"))] == []
    assert f"{service.url}/openapi.json" in asked
