"""ZIP archives, encrypted with AES-256 where there is a password (WinZip's AE-2)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime

_METHODS = {"deflate": zipfile.ZIP_DEFLATED, "store": zipfile.ZIP_STORED}
#: The earliest time that a ZIP file can tell.
_EPOCH = datetime(1980, 1, 1)  # noqa: DTZ001 - the times in a ZIP file have no zone


class ZipArchiver:
    """`ports.Archiver`. All files bear the time `modified`, so that plain archives are repeatable.

    An encrypted one differs each time, since its salt is random. The password is taken as UTF-8.
    """

    def __init__(self, modified: datetime = _EPOCH) -> None:
        self._modified = modified.timetuple()[:6]

    def __call__(
        self, files: Sequence[tuple[str, bytes]], password: str | None, method: str
    ) -> bytes:
        """`method` is `deflate` or `store`; `ValueError` for another, or an empty password."""
        if method not in _METHODS:
            raise ValueError(f'The archive method "{method}" is neither "deflate" nor "store".')
        if password == "":
            raise ValueError("The password of the archive is empty.")
        # A fifth of a second to load, for every command, and few campaigns pack.
        import pyzipper

        target = io.BytesIO()
        with pyzipper.AESZipFile(target, "w") as archive:
            if password is not None:
                archive.setpassword(password.encode())
                archive.setencryption(pyzipper.WZ_AES, nbits=256)
            for name, data in files:
                info = archive.zipinfo_cls(name, self._modified)
                info.compress_type = _METHODS[method]
                archive.writestr(info, data)
        return target.getvalue()
