"""A browser whose every script, connection and look-up of a name is noticed."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route
from playwright.sync_api import Error as PlaywrightError

from tests.servers.chromium import chromium

_STAGE = "/stage"
_AT_ONCE = 25
#: A browser that is started asks for the time and for news of itself, whatever it is told.
_MAKER = (b"google.com", b"googleapis.com", b"gvt1.com", b"gstatic.com")


@dataclass
class Seen:
    """What happened while pages were shown."""

    #: Where each script that was compiled came from.
    scripts: list[str] = field(default_factory=list)
    #: What each dialog said.
    dialogs: list[str] = field(default_factory=list)
    #: What every connection to another host than the service and the browser's maker began with.
    connections: list[bytes] = field(default_factory=list)
    #: New windows, downloads, and pages that left by themselves.
    surprises: list[str] = field(default_factory=list)


class _Catcher(socketserver.ThreadingTCPServer):
    """Stands in for every host there is."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, heard: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Hearer)
        self.heard = heard


class _Hearer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Catcher)
        self.request.settimeout(2)
        with suppress(OSError):
            first = b""
            try:
                first = self.request.recv(16384)
            finally:
                if not any(host in first for host in _MAKER):
                    self.server.heard.append(first)
            self.request.sendall(
                b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )


@contextmanager
def watched(folder: Path, origin: str, headers: dict[str, str]) -> Iterator[WatchedBrowser]:
    """A browser that sends `headers` to `origin`; any other host is a server that catches."""
    seen = Seen()
    with _Catcher(seen.connections) as catcher:
        threading.Thread(target=catcher.serve_forever, daemon=True).start()
        port = catcher.server_address[1]
        log = folder / "net.json"
        options = (
            f"--host-resolver-rules=MAP * 127.0.0.1:{port}, EXCLUDE 127.0.0.1",
            # Frames stay in the process of their page, where the debugger sees their scripts.
            "--disable-features=IsolateSandboxedIframes",
            "--autoplay-policy=no-user-gesture-required",
            f"--log-net-log={log}",
        )
        with chromium(*options) as browser:
            context = browser.new_context(extra_http_headers=headers)
            yield WatchedBrowser(context, origin, seen, log)
            context.close()
        catcher.shutdown()


class WatchedBrowser:
    """Shows pages alone and in frames. `looked_up` answers once the browser is closed."""

    def __init__(self, context: BrowserContext, origin: str, seen: Seen, log: Path) -> None:
        self.seen = seen
        self._origin = origin
        self._log = log
        self._stage = ""
        self._page = context.new_page()
        self._watch(context, self._page)
        self._page.route(f"{origin}{_STAGE}", self._build)

    def looked_up(self, host: str) -> bool:
        """Whether the name of `host` was asked for, also by a look-up ahead of need."""
        return host in self._log.read_text("utf-8", "replace")

    def show(self, urls: Sequence[str], pause: int = 25) -> None:
        """Each as a page of its own, for so many milliseconds after it was loaded."""
        for url in urls:
            self._go(url)
            self._page.wait_for_timeout(pause)
        self._page.wait_for_timeout(500)
        self._go("about:blank")

    def _go(self, url: str) -> None:
        for _ in range(10):
            try:
                self._page.goto(url, wait_until="load")
            except PlaywrightError:  # the page before goes somewhere itself
                self.seen.surprises.append("a page went away")
                self._page.wait_for_timeout(100)
            else:
                return
        raise AssertionError(f"There is no way to {url}.")

    def frame(self, urls: Sequence[str]) -> None:
        """In frames of one page of the same origin, some at once."""
        for start in range(0, len(urls), _AT_ONCE):
            frames = [f"<iframe src='{url}'></iframe>" for url in urls[start:][:_AT_ONCE]]
            self._stage = f"<!doctype html><title>stage</title>{''.join(frames)}"
            self._page.goto(f"{self._origin}{_STAGE}", wait_until="load")
            self._page.wait_for_timeout(500)
        self._page.goto("about:blank")

    def _build(self, route: Route) -> None:
        route.fulfill(body=self._stage, content_type="text/html; charset=utf-8")

    def _watch(self, context: BrowserContext, page: Page) -> None:
        seen = self.seen
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("download", lambda each: seen.surprises.append(f"download {each.url}"))
        context.on("page", lambda each: seen.surprises.append(f"window {each.url}"))
        debugger = context.new_cdp_session(page)

        def parsed(event: dict[str, Any]) -> None:
            # The driver's own scripts live in a world of their own.
            if event.get("executionContextAuxData", {}).get("isDefault", True):
                seen.scripts.append(event["url"] or "(nameless)")

        debugger.on("Debugger.scriptParsed", parsed)
        debugger.send("Debugger.enable")
