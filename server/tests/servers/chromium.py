"""A real Chromium, without a window, that can reach this machine alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--no-sandbox",  # root has none
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-first-run",
)


def why_not() -> str | None:
    """The reason why no Chromium can be started here, if there is one."""
    return None if _program() else "Chromium is not installed (Debian: apt-get install chromium)"


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """A browser with further command line options. Names of hosts lead nowhere unless they say."""
    flags = [*_QUIET, *options]
    if not any(each.startswith("--host-resolver-rules") for each in options):
        flags.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def _program() -> str | None:
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
