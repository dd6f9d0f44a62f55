"""The journal of replies, with real files, real locks and a real second process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from app.mailer.adapters import journal as journal_module
from app.mailer.adapters.journal import FileJournal
from app.mailer.ports import JournalRecord

SERVER = Path(__file__).parents[4]
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

_OTHER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from app.mailer.adapters.journal import FileJournal
from app.mailer.ports import JournalRecord
journal = FileJournal(Path(sys.argv[1]))
journal.check()
journal.record(JournalRecord(UUID(int=7), 3, 250, "taken", datetime.now(UTC)))
print(journal.worker, flush=True)
sys.stdin.read()
"""


def _record(number: int = 1, text: str = "2.0.0 Ok") -> JournalRecord:
    return JournalRecord(UUID(int=number), number, 250, text, AT)


@contextmanager
def _dead(folder: Path, *records: JournalRecord) -> Iterator[Path]:
    """A journal as a dead process leaves it: the file stays and its lock is gone."""
    journal = FileJournal(folder)
    for record in records:
        journal.check()
        journal.record(record)
    journal.close(settled=False)
    yield folder / f"{journal.worker}.journal"


def _records(folder: Path) -> list[list[JournalRecord]]:
    own = FileJournal(folder)
    found = [list(dead.records()) for dead in own.abandoned()]
    own.close(settled=True)
    return found


def test_what_was_recorded_is_read_back_from_the_dead(tmp_path: Path) -> None:
    records = [_record(1), _record(2, "two\nlines — ümlaut \0"), _record(3, "")]
    with _dead(tmp_path, *records):
        assert _records(tmp_path) == [records]


def test_the_space_set_aside_reads_as_nothing(tmp_path: Path) -> None:
    with _dead(tmp_path, _record()) as path:
        assert path.read_bytes().endswith(b"\0" * 1000)
        assert _records(tmp_path) == [[_record()]]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_no_reply_and_hides_none_before_it(tmp_path: Path, cut: int) -> None:
    with _dead(tmp_path, _record(1), _record(2)) as path:
        end = len(path.read_bytes().rstrip(b"\0"))
        with path.open("r+b") as file:
            file.seek(end - 1 - cut)
            file.write(b"\0" * (cut + 1))
        assert _records(tmp_path) == [[_record(1)]]
        with path.open("r+b") as file:
            file.truncate(end - 1 - cut)
        assert _records(tmp_path) == [[_record(1)]]


def test_a_line_of_something_else_is_passed_over(tmp_path: Path) -> None:
    with _dead(tmp_path, _record(1)) as path:
        lines = path.read_bytes().rstrip(b"\0")
        path.write_bytes(b'[1]\n{"job": 5}\n"x"\n\xff\n' + lines)
        assert _records(tmp_path) == [[_record(1)]]


def test_the_longest_reply_is_cut_and_fits_what_was_set_aside(tmp_path: Path) -> None:
    with _dead(tmp_path, _record(1, "\x01" * 100_000)) as path:
        line = path.read_bytes().rstrip(b"\0")
        assert len(line) <= journal_module._LONGEST_RECORD
        ((found,),) = _records(tmp_path)
        assert found.text == "\x01" * 1_000


def test_a_live_worker_is_not_dead_even_in_this_process(tmp_path: Path) -> None:
    first, second = FileJournal(tmp_path), FileJournal(tmp_path)
    assert first.worker != second.worker
    assert list(first.abandoned()) == []
    second.close(settled=False)
    assert [dead.worker for dead in first.abandoned()] == [second.worker]
    first.close(settled=True)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _OTHER, str(tmp_path)],
            cwd=SERVER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_process_is_alive_until_it_is_killed(
    tmp_path: Path, other: Callable[[], tuple[subprocess.Popen[str], str]]
) -> None:
    own = FileJournal(tmp_path)
    process, worker = other()
    assert list(own.abandoned()) == []

    process.kill()
    process.wait()
    for dead in own.abandoned():
        assert dead.worker == worker
        assert [(each.job_id, each.fence, each.code) for each in dead.records()] == [
            (UUID(int=7), 3, 250)
        ]
        # Ours meanwhile: nobody else takes over the same one.
        assert list(FileJournal(tmp_path).abandoned()) == []
        dead.discard()
    assert list(own.abandoned()) == []


def test_a_journal_that_is_not_discarded_is_found_again(tmp_path: Path) -> None:
    with _dead(tmp_path, _record()):
        assert _records(tmp_path) == _records(tmp_path) == [[_record()]]


def test_a_settled_journal_is_gone_and_its_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "journal"
    journal = FileJournal(folder)
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    journal.close(settled=True)
    journal.close(settled=True)
    assert list(folder.iterdir()) == []


def test_after_closing_nothing_is_written_into_what_has_the_number_now(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    journal.close(settled=False)
    bystander = os.open(tmp_path / "bystander", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="closed"):
        journal.record(_record())
    with pytest.raises(OSError, match="closed"):
        journal.check()
    assert os.fstat(bystander).st_size == 0
    os.close(bystander)


def test_a_full_disk_is_noticed_before_the_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    journal = FileJournal(tmp_path)
    with pytest.raises(OSError, match="No space"):
        journal.check()
    journal.close(settled=True)


def test_what_check_set_aside_holds_a_record_of_each_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred connections check, the disk fills up, and then a hundred replies come."""
    journal = FileJournal(tmp_path)
    for _ in range(100):
        journal.check()
    monkeypatch.setattr(os, "posix_fallocate", None)
    (path,) = tmp_path.iterdir()
    size = path.stat().st_size
    for number in range(100):
        journal.record(_record(number + 1, "\x01" * 5_000))
    assert path.stat().st_size == size
    journal.close(settled=False)
    assert len(_records(tmp_path)[0]) == 100


def test_a_write_that_fails_halfway_does_not_hide_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    writes: list[int] = []

    def short_then_broken(fd: int, data: bytes, at: int) -> int:
        writes.append(len(data))
        if len(writes) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, bytes(data)[:10], at) if len(writes) == 1 else real(fd, data, at)

    journal = FileJournal(tmp_path)
    journal.check()
    monkeypatch.setattr(os, "pwrite", short_then_broken)
    with pytest.raises(OSError, match="Input/output"):
        journal.record(_record(1, "long " * 50))
    journal.record(_record(2))
    journal.close(settled=False)
    assert _records(tmp_path) == [[_record(2)]]


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, bytes(data)[:7], at))
    with _dead(tmp_path, _record(1), _record(2)):
        assert _records(tmp_path) == [[_record(1), _record(2)]]


def test_records_outlive_the_process_and_once_synced_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return real(*arguments)

        return call

    for name in ("pwrite", "fdatasync", "fsync", "posix_fallocate", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    journal = FileJournal(tmp_path)
    # The name itself survives a power failure; the first line says which boot this is.
    assert calls == ["rename", "fsync", "pwrite"]
    calls.clear()
    journal.check()
    assert calls == ["posix_fallocate", "fsync"]
    calls.clear()
    journal.check()
    journal.dot(uuid4(), 1)
    journal.record(_record())
    assert calls == ["pwrite", "pwrite"]
    calls.clear()
    journal.sync()
    assert calls == ["fdatasync"]
    journal.close(settled=True)


def test_threads_do_not_write_into_each_other(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)

    def write(start: int) -> None:
        for number in range(start, start + 25):
            journal.check()
            journal.record(_record(number, f"reply {number} " * 20))

    threads = [threading.Thread(target=write, args=(n * 100 + 1,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close(settled=False)
    assert len(_records(tmp_path)[0]) == 100


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "begun.new").write_text("")
    assert _records(tmp_path) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["begun.new", "notes.txt"]


def test_a_line_is_json_with_what_the_record_has(tmp_path: Path) -> None:
    job = uuid4()
    with _dead(tmp_path, JournalRecord(job, 4, 554, "no", AT)) as path:
        boot, record = path.read_bytes().split(b"\n")[:2]
        assert list(orjson.loads(boot)) == ["boot"]
        assert orjson.loads(record) == {
            "job": str(job),
            "fence": 4,
            "code": 554,
            "text": "no",
            "at": AT.isoformat(),
        }


def test_a_journal_that_was_deleted_or_closed_is_noticed_before_a_dot_leaves(
    tmp_path: Path,
) -> None:
    journal = FileJournal(tmp_path)
    journal.check()
    (tmp_path / f"{journal.worker}.journal").unlink()
    with pytest.raises(OSError, match="was deleted"):
        journal.check()
    journal.close(settled=False)
    with pytest.raises(OSError, match="is closed"):
        journal.check()
