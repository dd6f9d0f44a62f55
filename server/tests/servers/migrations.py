"""Migrates a fresh database up, and checks that models and migrations agree:
`python -m tests.servers.migrations sqlite|postgres`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.servers.postgres import SERVER_FOLDER, PostgresServer, migrate


def main() -> int:
    with ExitStack() as stack:
        if sys.argv[1:] == ["sqlite"]:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{Path(folder) / 'check.db'}"
        elif sys.argv[1:] == ["postgres"]:
            url = stack.enter_context(PostgresServer()).new_database(migrated=False)
        else:
            print(__doc__, file=sys.stderr)
            return 2
        migrate(url)
        check = [sys.executable, "-m", "alembic", "check"]
        environment = {**os.environ, "DATABASE_URL": url}
        done = subprocess.run(
            check, cwd=SERVER_FOLDER, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(done.stdout, done.stderr, file=sys.stderr)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
