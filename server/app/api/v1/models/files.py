"""What the API says of files and uploads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.api.forms import ONE_LINE
from app.api.openapi_text import EXAMPLES
from app.db.models import StoredFile, Upload
from app.mailer.domain.files.stored_path import MAX_LENGTH
from app.mailer.services.files import Allowance

#: Most ids that one request may name.
MAX_IDS = 1000

#: As a query can hold it; what a path may be is the domain's to say.
PathText = Annotated[str, StringConstraints(max_length=MAX_LENGTH + 1, pattern=ONE_LINE)]


class FileOut(BaseModel):
    id: UUID
    path: str = Field(examples=["2026/payslips/Müller.pdf"])
    size: int = Field(description="Bytes", examples=[48_213])
    sha256: str = Field(
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    )
    media_type: str = Field(
        description="As the bytes show, not as the name claims", examples=["application/pdf"]
    )
    uploaded_at: datetime
    uploaded_by: str

    @classmethod
    def of(cls, file: StoredFile) -> FileOut:
        return cls.model_validate(file, from_attributes=True)


class UploadOut(BaseModel):
    """A file on its way."""

    id: UUID
    path: str = Field(examples=["2026/payslips/Müller.pdf"])
    size: int = Field(description="Bytes that were announced")
    offset: int = Field(description="Bytes that have arrived")
    sha256: str | None
    replace: bool
    created_at: datetime
    created_by: str
    expires_at: datetime = Field(description="When it is forgotten, if nothing more comes")

    @classmethod
    def of(cls, upload: Upload) -> UploadOut:
        return cls.model_validate(upload, from_attributes=True)


class FileUsageOut(BaseModel):
    """What the tenant's files take, and what they may."""

    file_count: int
    file_bytes: int
    upload_count: int = Field(description="Uploads under way")
    upload_bytes: int = Field(description="What they will take")
    quota_bytes: int = Field(description="What all of them together may take")
    max_file_bytes: int = Field(description="What one file may have")

    @classmethod
    def of(cls, allowance: Allowance) -> FileUsageOut:
        return cls(
            file_count=allowance.usage.count,
            file_bytes=allowance.usage.bytes,
            upload_count=allowance.usage.uploading_count,
            upload_bytes=allowance.usage.uploading_bytes,
            quota_bytes=allowance.quota_bytes,
            max_file_bytes=allowance.max_bytes,
        )


class FilesDelete(BaseModel):
    """Either a folder, with all that is below it, or files by id."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": [EXAMPLES["uuid"]]}]}
    )

    folder: PathText | None = Field(
        default=None, description="Like `2026/payslips`; an empty text means all files"
    )
    ids: list[UUID] | None = Field(default=None, max_length=MAX_IDS)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.folder is None) == (self.ids is None):
            raise ValueError("Give either `folder` or `ids`.")
        return self


class FilesDeleted(BaseModel):
    count: int
    bytes: int
