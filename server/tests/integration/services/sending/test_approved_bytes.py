"""What is not the approved message never leaves, and a file store that is away loses nothing."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from sqlalchemy import update

from app.db.models import JobMessage
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.mime.frame import Frame
from tests.integration.services.sending.house import House, letter, recipients
from tests.servers.smtp import SmtpServer


def _with_file(house: House, port: int, count: int = 2) -> UUID:
    (house.folder / "files").mkdir()
    (house.folder / "files" / "card.pdf").write_bytes(b"%PDF-1.4 " + bytes(range(256)))
    document = letter(
        port,
        count,
        attachments={"base_path": "files", "global": [{"file_filter": "card.pdf"}]},
    )
    return house.queued(document)


def test_bytes_that_changed_in_the_database_never_leave(
    house: House, smtp_server: SmtpServer
) -> None:
    campaign = house.queued(letter(smtp_server.port, 3))
    first, second, _ = house.jobs(campaign)
    with house.sessions() as session:
        frame = Frame(
            (b"From: Eve <eve@example.com>\r\nTo: p0@example.org\r\n\r\nPay here.\r\n",), b"", 0
        )
        for job, stored in ((first, frame.encode()), (second, b"torn")):
            session.execute(
                update(JobMessage).where(JobMessage.job_id == job.id).values(frame=stored)
            )
        session.commit()
    assert house.send(campaign).outcomes == {SendStatus.FAILED: 2, SendStatus.SENT: 1}
    assert recipients(smtp_server) == ["p2@example.org"]
    for job in house.jobs(campaign)[:2]:
        assert job.send_status is SendStatus.FAILED
        assert "changed-after-build" in (job.last_error or "")
        assert (job.attempt_count, house.attempts(job)) == (0, [])


def _blob_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


def test_a_damaged_file_in_the_store_never_leaves(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    campaign = _with_file(house, smtp_server.port)
    (blob,) = _blob_files(house.folder)
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    report = house.send(campaign)
    assert report.outcomes == {SendStatus.FAILED: 2}
    assert smtp_server.messages == []
    assert "changed-after-build" in (house.jobs(campaign)[0].last_error or "")


def test_without_its_file_store_the_run_stops_and_nothing_is_lost(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    campaign = _with_file(house, smtp_server.port)
    (house.folder / "blobs").rename(house.folder / "elsewhere")
    report = house.send(campaign)
    assert report.stopped is not None
    assert report.outcomes == {}
    assert house.statuses(campaign) == ["queued", "queued"]
    (house.folder / "elsewhere").rename(house.folder / "blobs")
    assert house.send(campaign).outcomes == {SendStatus.SENT: 2}


def test_a_file_store_that_cannot_be_read_stops_the_run(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    campaign = _with_file(sqlite_house, smtp_server.port)
    (blob,) = _blob_files(sqlite_house.folder)
    blob.unlink()
    blob.mkdir()  # an OSError even for root
    report = sqlite_house.send(campaign)
    assert report.stopped is not None
    assert "stored attachments" in report.stopped
    assert sqlite_house.statuses(campaign) == ["queued", "queued"]


def test_a_file_changed_on_disk_after_the_build_changes_nothing(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    campaign = _with_file(sqlite_house, smtp_server.port)
    (sqlite_house.folder / "files" / "card.pdf").write_bytes(b"another")
    assert sqlite_house.send(campaign).outcomes == {SendStatus.SENT: 2}
