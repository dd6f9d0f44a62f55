"""Who gets what, as the API tells it."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from app.api.v1.models.jobs import AttachmentOut
from app.db.models import VersionFile
from app.db.repositories.coverage import Use, use_of
from app.mailer.domain.delivery.job import Decision
from app.mailer.domain.issues import EntryState
from app.mailer.services.coverage import Person


class CoveredPerson(BaseModel):
    """An entry and the files of its message."""

    job_id: UUID
    position: int
    entry_id: str = Field(examples=["4711"])
    to: str
    build_status: EntryState
    decision: Decision | None
    file_count: int = Field(description="An archive and the files in it are all counted")
    files: list[AttachmentOut] = Field(description="The first of them")

    @classmethod
    def of(cls, person: Person) -> CoveredPerson:
        job = person.job
        return cls(
            job_id=job.id,
            position=job.position,
            entry_id=job.entry_id,
            to=job.to_display,
            build_status=job.build_status,
            decision=job.decision,
            file_count=person.files.count,
            files=[AttachmentOut.of(each) for each in person.files.first],
        )


class CoveredFile(BaseModel):
    """A file of the base folder, and who takes it."""

    path: str = Field(description="Masked where a secret value chose it", examples=["Bill_1.pdf"])
    size: int
    use: Use = Field(
        description="`contested`: it is one person's own, and several take it; `unclaimed`: nobody"
    )
    is_personal: bool = Field(description="By a rule with values of one entry")
    takers: int = Field(description="How many entries take it, blocked and inactive ones too")
    first_takers: list[str] = Field(description="The first of them", examples=[["4711"]])

    @classmethod
    def of(cls, file: VersionFile) -> CoveredFile:
        return cls(
            path=file.path,
            size=file.size,
            use=use_of(file),
            is_personal=file.is_personal,
            takers=file.takers,
            first_takers=file.first_takers,
        )
