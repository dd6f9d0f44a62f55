"""A folder with a campaign in it, a database of its own, and commands to run there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.forge import Forge
from tests.e2e.scratch import KEY, Done


@dataclass(frozen=True)
class Desk:
    """Commands run in `folder`; everything that they keep is in `var` beside the campaign."""

    forge: Forge
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "var/multimailer.db"

    def run(self, *command: str, powerless: bool = False, **env: str) -> Done:
        """A command; those that want an API key find the development key in the environment."""
        settings = {
            "DATABASE_URL": f"sqlite:///{self.database}",
            "BLOB_DIR": str(self.folder / "var/blobs"),
            "JOURNAL_DIR": str(self.folder / "var/journal"),
            "MULTIMAILER_API_KEY": KEY,
        }
        return self.forge.run(*command, cwd=self.folder, powerless=powerless, **{**settings, **env})

    def write(self, campaign: Mapping[str, Any]) -> None:
        (self.folder / "campaign.json").write_text(json.dumps(campaign, indent=2), "utf-8")

    def imported(self, campaign: Mapping[str, Any]) -> str:
        """The id of a campaign that is imported, built and queued."""
        self.write(campaign)
        done = self.run("import_campaign", "--campaign", "campaign.json", "--build", "--json")
        assert done.code == 0, done
        campaign_id = str(done.json["campaign_id"])
        queued = self.run("queue_campaign", "--campaign-id", campaign_id)
        assert queued.code == 0, queued
        return campaign_id

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        with closing(sqlite3.connect(self.database)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                for (name,) in tables.fetchall()
            }

    def values(self, sql: str) -> list[Any]:
        """The first column of a query."""
        with closing(sqlite3.connect(self.database)) as connection:
            return [row[0] for row in connection.execute(sql)]

    def allow_jinja(self) -> None:
        """What an administrator does by the API."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("UPDATE tenants SET jinja_allowed = 1")
            connection.commit()

    def files(self) -> set[str]:
        """Every file of the folder but the database's own."""
        return {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if not path.is_dir() and not path.name.startswith(self.database.name)
        }


def letter(**parts: Any) -> dict[str, Any]:
    """A campaign of one letter, with these top-level keys added or replaced."""
    return {
        "version": "1.0",
        "campaign": {"id": "cards", "name": "Cards", "mode": "send"},
        "fields": [{"name": "number"}, {"name": "name"}],
        "server": {"smtp": {"host": "127.0.0.1", "port": 9, "security": "plain"}},
        "recipients": {"from": "sender@example.org"},
        "template": {"subject": "For ${local::name}", "text": "Hello"},
        "entries": {
            "inline": [
                {
                    "id": "one",
                    "to": ["ada@example.org"],
                    "values": {"name": "Ada", "number": "0007"},
                }
            ]
        },
        **parts,
    }
