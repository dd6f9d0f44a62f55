"""Files that the tenant uploaded."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Response
from fastapi.responses import StreamingResponse

from app.api.access import CurrentActor
from app.api.download import download
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.files import FileOut, FilesDelete, FilesDeleted, FileUsageOut, PathText
from app.db.repositories import files as rows
from app.mailer.services import files

routes = router("files", "/files")

_MEDIA_TYPE = "application/octet-stream"
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes. Where fewer come than Content-Length says, they are damaged.",
        "content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}

Sort = Literal["path", "-path", "size", "-size", "uploaded_at", "-uploaded_at"]


@routes.get("", response_model=Page[FileOut])
def list_files(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    folder: Annotated[
        PathText, Query(description="Only this folder and below it", examples=["2026/payslips"])
    ] = "",
    search: Annotated[PathText, Query(description="Part of the path, in upper or lower case")] = "",
    sort: Sort = "path",
) -> Any:
    """The tenant's files, by path."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = files.page_files(
            session,
            actor,
            folder=folder,
            search=search,
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, FileOut.of)


@routes.get("/usage")
def get_file_usage(actor: CurrentActor, program: ProgramDep) -> FileUsageOut:
    """What the tenant's files take, and what they may."""
    return FileUsageOut.of(files.file_allowance(program.depot(), actor))


@routes.post("/delete")
def delete_files(actor: CurrentActor, program: ProgramDep, body: FilesDelete) -> FilesDeleted:
    """Delete a folder with all below it, or files by id; ids that are not there are passed over.

    Messages that were built from a file keep theirs.
    """
    deleted = files.delete_files(program.depot(), actor, folder=body.folder, ids=body.ids or ())
    return FilesDeleted(count=deleted.count, bytes=deleted.bytes)


@routes.get("/{file_id}")
def get_file(actor: CurrentActor, program: ProgramDep, file_id: UUID) -> FileOut:
    """One file: its path, size, hash and kind."""
    with program.reading() as session:
        return FileOut.of(files.get_file(session, actor, file_id))


@routes.get("/{file_id}/content", response_class=StreamingResponse, responses=_CONTENT)
def download_file(actor: CurrentActor, program: ProgramDep, file_id: UUID) -> StreamingResponse:
    """A file's bytes, verified while they are sent. That it was read is written down."""
    file, chunks = files.open_file(program.depot(), actor, file_id)
    response = download(
        chunks,
        filename=file.path.rpartition("/")[2],
        size=file.size,
        # Whatever it is: a browser has to save it.
        media_type=_MEDIA_TYPE,
    )
    response.headers["ETag"] = f'"{file.sha256}"'
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@routes.delete("/{file_id}", status_code=204)
def delete_file(actor: CurrentActor, program: ProgramDep, file_id: UUID) -> Response:
    """Delete a file. Messages that were built from it keep theirs."""
    files.delete_file(program.depot(), actor, file_id)
    return Response(status_code=204)
