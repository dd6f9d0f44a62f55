from __future__ import annotations

import io
import zipfile

from app.mailer.domain.evidence.zip_form import Member, ZipStream

MEMBERS = {
    "a.json": b'{"a": 1}',
    "empty.ndjson": b"",
    "messages/0000001.eml": bytes(range(256)) * 5_000,
    "grüße.txt": "Grüße".encode(),
}


def streamed(members: dict[str, bytes]) -> tuple[bytes, list[Member]]:
    stream = ZipStream()
    pieces: list[bytes] = []
    told = []
    for name, data in members.items():
        adding = stream.add(name, [data[:10], data[10:]])
        while True:
            try:
                pieces.append(next(adding))
            except StopIteration as end:
                told.append(end.value)
                break
    return b"".join([*pieces, *stream.end()]), told


def test_a_zip_file_that_others_read() -> None:
    data, told = streamed(MEMBERS)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == MEMBERS
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in file.infolist())
    assert [(each.name, each.size) for each in told] == [
        (name, len(content)) for name, content in MEMBERS.items()
    ]


def test_the_same_members_are_the_same_bytes() -> None:
    assert streamed(MEMBERS)[0] == streamed(MEMBERS)[0]


def test_no_member_at_all() -> None:
    with zipfile.ZipFile(io.BytesIO(streamed({})[0])) as file:
        assert file.namelist() == []


def test_more_members_than_the_old_form_can_count() -> None:
    many = {f"messages/{number:07}.eml": b"x" for number in range(70_000)}
    with zipfile.ZipFile(io.BytesIO(streamed(many)[0])) as file:
        assert len(file.infolist()) == 70_000
        assert file.read("messages/0069999.eml") == b"x"
