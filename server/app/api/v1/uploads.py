"""Uploads that can be interrupted and gone on with, as tus 1.0.0 says."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.access.actor import Actor
from app.api import tus
from app.api.access import CurrentActor
from app.api.errors import ApiError
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import error, router
from app.api.state import ProgramDep
from app.api.v1.models.files import UploadOut
from app.db.repositories import files as rows
from app.mailer.ports import PIECE_BYTES
from app.mailer.services import uploads
from app.mailer.services.depot import Depot
from app.mailer.services.uploads import Turn

routes = router("files", "/files/uploads")

Sort = Literal["created_at", "-created_at", "path", "-path"]
TusResumable = Annotated[
    str,
    Header(
        alias="Tus-Resumable",
        max_length=20,
        description="The protocol's version",
        json_schema_extra={"enum": [tus.VERSION]},
    ),
]
_ERRORS: dict[int | str, dict[str, Any]] = {
    410: error("Nothing came for 24 hours: begin again."),
    412: error("Another version of tus; `Tus-Version` says which is spoken."),
}


@routes.options("", status_code=204)
def get_upload_options(program: ProgramDep) -> Response:
    """What uploads can do here, in the headers `Tus-Version`, `Tus-Extension`, `Tus-Max-Size` and
    `Tus-Checksum-Algorithm`.
    """
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(program.settings.upload_max_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        },
    )


@routes.get("", response_model=Page[UploadOut])
def list_uploads(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "-created_at",
) -> Any:
    """The uploads that are under way, the newest first."""
    order, after = place(page, sort, rows.UPLOADS_SORTABLE, rows.UPLOADS_KEY)
    with program.reading() as session:
        found = uploads.page_uploads(session, actor, order=order, after=after, limit=page.limit)
    return page_of(found, sort, UploadOut.of)


@routes.post(
    "",
    status_code=201,
    responses={
        **_ERRORS,
        413: error("Larger than one file, or all of the tenant's together, may be."),
        415: error("The content is not what the name says."),
    },
)
def create_upload(
    actor: CurrentActor,
    program: ProgramDep,
    response: Response,
    tus_resumable: TusResumable,
    upload_length: Annotated[
        int, Header(alias="Upload-Length", ge=0, lt=2**63, description="The file's size in bytes")
    ],
    upload_metadata: Annotated[
        str,
        Header(
            alias="Upload-Metadata",
            max_length=8000,
            description=(
                "Keys, each with a value in base64: `path` (or `filename`), with `/` between "
                "folders; `sha256` of the whole in hex, if it is to be checked; `replace` with "
                "`true` if a file there is to be replaced"
            ),
            examples=["path MjAyNi9sZXR0ZXIucGRm,replace dHJ1ZQ=="],
        ),
    ],
) -> UploadOut:
    """Begin an upload; `Location` is where its bytes go by PATCH.

    The path is kept as it is, folders and all, in Unicode's normal form C. What the tenant's files
    take counts with the full size of each upload under way. An upload that nothing is added to for
    24 hours is forgotten.
    """
    tus.refuse_other_version(tus_resumable)
    said = tus.read_metadata(upload_metadata)
    upload = uploads.create_upload(
        program.depot(),
        actor,
        path=said.get("path") or said.get("filename", ""),
        size=upload_length,
        sha256=said.get("sha256"),
        replace=said.get("replace", "").lower() == "true",
    )
    response.headers["Location"] = f"/api/v1/files/uploads/{upload.id}"
    response.headers["Upload-Offset"] = "0"
    response.headers["Upload-Expires"] = tus.http_date(upload.expires_at)
    return UploadOut.of(upload)


@routes.head("/{upload_id}", responses=_ERRORS)
def get_upload_offset(
    actor: CurrentActor, program: ProgramDep, upload_id: UUID, tus_resumable: TusResumable
) -> Response:
    """How many bytes have arrived, in `Upload-Offset`. All have once the file is there."""
    tus.refuse_other_version(tus_resumable)
    upload = uploads.get_upload(program.depot(), actor, upload_id)
    return Response(
        headers={
            "Upload-Offset": str(upload.offset),
            "Upload-Length": str(upload.size),
            "Upload-Expires": tus.http_date(upload.expires_at),
        }
    )


@routes.patch(
    "/{upload_id}",
    status_code=204,
    responses={
        **_ERRORS,
        413: error("More bytes than were announced."),
        415: error("Not sent as the protocol says, or the content is not what the name says."),
        tus.CHECKSUM_MISMATCH: error("The bytes are not those that `Upload-Checksum` announces."),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {tus.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def append_upload(
    actor: CurrentActor,
    program: ProgramDep,
    request: Request,
    upload_id: UUID,
    tus_resumable: TusResumable,
    upload_offset: Annotated[
        int,
        Header(
            alias="Upload-Offset", ge=0, lt=2**63, description="Where these bytes begin in the file"
        ),
    ],
    upload_checksum: Annotated[
        str | None,
        Header(
            alias="Upload-Checksum",
            max_length=200,
            description="`sha256`, `sha1` or `md5` of this body and, behind a blank, it in base64",
        ),
    ] = None,
) -> Response:
    """The next bytes of an upload. What arrives of a request that breaks off is kept.

    With the last byte the file is looked at as a whole: its hash if one was announced, what it is,
    and whether it is malware. If it passes it is there once this answers, and otherwise the upload
    is over. Of two requests at once the later one goes on and the other gets 409.
    """
    tus.refuse_other_version(tus_resumable)
    if request.headers.get("content-type", "").partition(";")[0].strip() != tus.CONTENT_TYPE:
        raise ApiError(
            415,
            "content-type",
            "The bytes of an upload have a media type of their own.",
            f"Send Content-Type: {tus.CONTENT_TYPE}.",
        )
    checksum = tus.Checksum(upload_checksum) if upload_checksum is not None else None
    depot = program.depot()
    turn = await run_in_threadpool(uploads.take_turn, depot, actor, upload_id, upload_offset)
    turn = await _receive(request, depot, actor, turn, checksum)
    upload = await run_in_threadpool(uploads.get_upload, depot, actor, upload_id)
    return Response(
        status_code=204,
        headers={
            "Upload-Offset": str(turn.told),
            "Upload-Expires": tus.http_date(upload.expires_at),
        },
    )


@routes.delete("/{upload_id}", status_code=204, responses=_ERRORS)
def delete_upload(
    actor: CurrentActor, program: ProgramDep, upload_id: UUID, tus_resumable: TusResumable
) -> Response:
    """End an upload, and forget its bytes. Of one that is complete the file stays."""
    tus.refuse_other_version(tus_resumable)
    uploads.delete_upload(program.depot(), actor, upload_id)
    return Response(status_code=204)


async def _receive(
    request: Request, depot: Depot, actor: Actor, turn: Turn, checksum: tus.Checksum | None
) -> Turn:
    """Stage the body piece by piece. Only the last piece may wait: the offset of the others is
    told at once, unless a checksum has to be seen to first."""
    held = bytearray()
    try:
        async for chunk in request.stream():
            held += chunk
            if checksum is not None:
                checksum.update(chunk)
            while len(held) >= PIECE_BYTES:
                piece = bytes(held[:PIECE_BYTES])
                del held[:PIECE_BYTES]
                turn = await run_in_threadpool(uploads.stage, depot, actor, turn, piece)
                if checksum is None and turn.reached < turn.size:
                    turn = await run_in_threadpool(uploads.settle, depot, actor, turn)
    except ClientDisconnect:
        if checksum is None:
            await _finish(depot, actor, turn, held)
        raise ApiError(400, "interrupted", "The connection ended before the body did.") from None
    if checksum is not None:
        checksum.verify()
    return await _finish(depot, actor, turn, held)


async def _finish(depot: Depot, actor: Actor, turn: Turn, held: bytearray) -> Turn:
    if held:
        turn = await run_in_threadpool(uploads.stage, depot, actor, turn, bytes(held))
    return await run_in_threadpool(uploads.settle, depot, actor, turn)
