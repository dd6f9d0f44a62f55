"""The first user of an installation, whose password comes by standard input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.access.passwords import verify_password
from app.db.repositories.access import tenant_by_slug, user_by_email
from app.db.session import make_engine, session_factory
from tests.e2e.scratch import SERVER, environment

PASSWORD = "an entirely new phrase"


def _init_db(
    database: Path, typed: str, *options: str, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.mailer.commands.init_db", *options],
        cwd=SERVER,
        env=environment(DATABASE_URL=f"sqlite:///{database}", **env),
        input=typed,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_user_is_made_in_production_and_the_password_is_not_told(tmp_path: Path) -> None:
    database = tmp_path / "multimailer.db"
    production = {"APP_ENV": "production", "MASTER_KEY_B64": "a" * 43 + "="}
    options = ["--tenant", "club", "--new-user", "Ada@example.org", "--role", "editor"]
    short = _init_db(database, "short\n", *options, **production)
    assert (short.returncode, "12 characters" in short.stderr) == (2, True)
    done = _init_db(database, f"{PASSWORD}\nnot read\n", *options, **production)
    assert done.returncode == 0, done.stderr
    assert "ada@example.org is editor of the tenant club" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    assert PASSWORD.encode() not in database.read_bytes()
    engine = make_engine(f"sqlite:///{database}")
    with session_factory(engine)() as session:
        tenant = tenant_by_slug(session, "club")
        assert tenant is not None
        user = user_by_email(session, tenant.id, "ada@example.org")
        assert user is not None
        assert verify_password(PASSWORD, user.password_hash or "")
    engine.dispose()
    again = _init_db(database, f"{PASSWORD}\n", *options, **production)
    assert (again.returncode, "already" in again.stderr) == (2, True)
