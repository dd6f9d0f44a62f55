from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pyzipper

from app.mailer.adapters.archive import ZipArchiver
from app.mailer.ports import Archiver

FILES = [("Müller 4711.pdf", b"%PDF-1.4 " + b"x" * 5000), ("empty.txt", b"")]
SEVEN_ZIP = shutil.which("7z") or shutil.which("7zz") or shutil.which("7za")


@pytest.mark.parametrize("method", ["deflate", "store"])
def test_a_plain_archive_is_read_by_the_standard_library(method: str) -> None:
    make: Archiver = ZipArchiver()
    data = make(FILES, None, method)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [(name, archive.read(name)) for name in archive.namelist()] == FILES
        kind = zipfile.ZIP_DEFLATED if method == "deflate" else zipfile.ZIP_STORED
        assert {info.compress_type for info in archive.infolist()} == {kind}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert data == ZipArchiver()(FILES, None, method)


def test_the_time_can_be_given() -> None:
    data = ZipArchiver(datetime(2026, 11, 24, 12, 30, 2, tzinfo=UTC))(FILES, None, "store")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.infolist()[0].date_time == (2026, 11, 24, 12, 30, 2)


@pytest.mark.parametrize("method", ["deflate", "store"])
def test_a_password_encrypts_with_aes_256(method: str) -> None:
    data = ZipArchiver()(FILES, "pässwörd", method)
    assert FILES[0][1][:100] not in data
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            assert info.flag_bits & 1
            assert (info.wz_aes_strength, info.wz_aes_version) == (3, 2)
        archive.setpassword("pässwörd".encode())
        assert [(name, archive.read(name)) for name in archive.namelist()] == FILES
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        with pytest.raises(RuntimeError, match="password"):
            archive.read(FILES[0][0])
        archive.setpassword(b"wrong")
        with pytest.raises((RuntimeError, pyzipper.BadZipFile)):
            archive.read(FILES[0][0])


@pytest.mark.parametrize(("password", "method"), [("", "store"), ("x", "lzma")])
def test_no_password_and_no_known_method_are_refused(password: str, method: str) -> None:
    with pytest.raises(ValueError, match=r"empty|lzma"):
        ZipArchiver()(FILES, password, method)


@pytest.mark.skipif(SEVEN_ZIP is None, reason="7-Zip is not installed (apt install p7zip-full)")
@pytest.mark.parametrize("method", ["deflate", "store"])
def test_seven_zip_opens_it_with_the_password_only(tmp_path: Path, method: str) -> None:
    (tmp_path / "a.zip").write_bytes(ZipArchiver()(FILES, "secret 4711", method))

    def extract(password: str) -> int:
        command = [str(SEVEN_ZIP), "x", "-y", f"-p{password}", "a.zip"]
        return subprocess.run(
            command, cwd=tmp_path, check=False, capture_output=True, timeout=60
        ).returncode

    assert extract("wrong") != 0
    assert extract("secret 4711") == 0
    for name, data in FILES:
        assert (tmp_path / name).read_bytes() == data
