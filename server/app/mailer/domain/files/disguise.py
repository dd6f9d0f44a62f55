"""Whether a file is what its name says: a program must not come as a letter."""

from __future__ import annotations

from app.mailer.domain.errors import WrongContent

_TEXT = "text/"
_ZIP = "application/zip"
_OLE = "application/x-ole-storage"

#: Endings that promise something, and the media types that keep the promise.
_PROMISES: dict[str, tuple[str, ...]] = {
    "pdf": ("application/pdf",),
    "png": ("image/png",),
    "jpg": ("image/jpeg",),
    "jpeg": ("image/jpeg",),
    "gif": ("image/gif",),
    "webp": ("image/webp",),
    "zip": (_ZIP,),
    "docx": (_ZIP,),
    "xlsx": (_ZIP,),
    "pptx": (_ZIP,),
    "odt": (_ZIP,),
    "ods": (_ZIP,),
    "doc": (_OLE, _ZIP, "application/rtf"),
    "xls": (_OLE, _ZIP),
    "rtf": ("application/rtf",),
    "txt": (_TEXT,),
    "csv": (_TEXT,),
    "tsv": (_TEXT,),
    "html": (_TEXT,),
    "htm": (_TEXT,),
    "md": (_TEXT,),
    "json": (_TEXT, "application/json"),
    "jsonl": (_TEXT, "application/json"),
    "xml": (_TEXT,),
    "ics": (_TEXT,),
    "eml": (_TEXT, "message/rfc822"),
    "svg": (_TEXT, "image/svg+xml"),
}
#: Media types of programs, which no ending above may hide.
PROGRAM = "application/x-executable"
SCRIPT = "text/x-script"
EMPTY = "application/x-empty"

_PLAIN = {
    "application/pdf": "a PDF",
    _ZIP: "a ZIP archive",
    _OLE: "an old Office file",
    PROGRAM: "a program",
    SCRIPT: "a script",
    "image/png": "a PNG image",
    "image/jpeg": "a JPEG image",
    "text/html": "HTML",
    "text/plain": "plain text",
    "application/octet-stream": "of no kind that is known",
}
_BY_NAME = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "xml": "text/xml",
    "md": "text/markdown",
    "ics": "text/calendar",
    "eml": "message/rfc822",
    "svg": "image/svg+xml",
    "html": "text/html",
    "htm": "text/html",
}


def media_type_of(path: str, found: str) -> str:
    """The media type of a file at `path` whose bytes look like `found`.

    The bytes decide what kind it is; the ending only which of those that look alike (a DOCX is a
    ZIP archive, a CSV is text). Raises `WrongContent` where the ending promises something else.
    """
    name = path.rpartition("/")[2]
    ending = name.rpartition(".")[2].lower() if "." in name.lstrip(".") else ""
    promised = _PROMISES.get(ending)
    if promised is None or found == EMPTY:
        return found
    if found == SCRIPT or not found.startswith(promised):
        is_ = _PLAIN.get(found, found)
        raise WrongContent(
            f'"{name}" ends in .{ending}, but its content is {is_}.',
            "Give it the ending of what it is, or upload the right file.",
        )
    return _BY_NAME.get(ending, found)
