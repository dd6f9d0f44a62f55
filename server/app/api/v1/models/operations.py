"""What the API says of long work."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.errors import Problem, stored_problem
from app.db.models import Operation, OperationStatus
from app.mailer.services.operations import Kind

_STATES = {"ready": 118, "warning": 1, "needs_review": 1, "blocked": 0, "excluded": 0}


class Result(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImportResult(Result):
    """The version that an import made."""

    campaign_id: UUID
    version_id: UUID


class ValidationResult(Result):
    """What a validation found; the findings themselves are the version's issues."""

    entries: dict[str, int] = Field(
        description="How many entries are in each state", examples=[_STATES | {"inactive": 0}]
    )
    severities: dict[str, int] = Field(
        description="How many issues of each severity", examples=[{"block": 0, "review": 1}]
    )
    codes: dict[str, int] = Field(
        description="How many issues of each code", examples=[{"missing-file": 1}]
    )
    has_findings: bool = Field(
        description="Somebody has to look before every active entry can be sent"
    )


class BuildResult(Result):
    """What a build made: letters, frozen."""

    entries: dict[str, int] = Field(
        description="How many entries are in each state", examples=[_STATES | {"inactive": 0}]
    )


class TestResult(Result):
    """A test letter that was handed over; with `dry_run` it only was made."""

    __test__ = False  # its name is none of pytest's business

    dry_run: bool
    entry_id: str = Field(description="Whose letter it is")
    to: str
    size: int = Field(description="Bytes of the message")
    sha256: str
    message_id: str
    reply: str | None = Field(
        description="What the mail server said", examples=["250 2.0.0 Ok: queued as 4XyZ"]
    )


class AppendResult(Result):
    """Copies that were filed in the Sent folder."""

    dry_run: bool
    wanted: int = Field(description="How many were missing before")
    outcomes: dict[str, int] = Field(examples=[{"appended": 118, "already_there": 2}])
    folders: list[str]
    pending: int
    failed: int
    interrupted: bool
    stopped: str | None = Field(description="Why it ended early")
    last_error: str | None


class OperationOut(BaseModel):
    """Long work: how far it is, and how it ended."""

    id: UUID
    kind: Kind
    status: OperationStatus
    campaign_id: UUID | None
    version_id: UUID | None
    phase: str = Field(
        description="What it does at the moment, in words; empty before it begins and once it "
        "succeeded",
        examples=["Checking recipients"],
    )
    done: int = Field(description="Steps of this phase, or of the last one, that are done")
    total: int | None = Field(description="Steps of this phase; null: not known")
    result: ImportResult | ValidationResult | BuildResult | TestResult | AppendResult | None = (
        Field(description="What came of it, once it succeeded")
    )
    problem: Problem | None = Field(description="What went wrong, once it failed")
    asked_by: str = Field(description="Whose key or session asked for it")
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, operation: Operation) -> OperationOut:
        problem = operation.problem
        return cls(
            id=operation.id,
            kind=Kind(operation.kind),
            status=operation.status,
            campaign_id=operation.campaign_id,
            version_id=operation.version_id,
            phase=operation.phase,
            done=operation.done,
            total=operation.total,
            result=_result(operation.kind, operation.result),
            problem=None if problem is None else stored_problem(problem),
            asked_by=operation.actor["name"],
            cancel_requested=operation.cancel_requested_at is not None,
            created_at=operation.created_at,
            started_at=operation.started_at,
            finished_at=operation.finished_at,
        )


_RESULTS: dict[str, type[Result]] = {
    Kind.IMPORT: ImportResult,
    Kind.VALIDATE: ValidationResult,
    Kind.BUILD: BuildResult,
    Kind.TEST_SEND: TestResult,
    Kind.APPEND_SENT: AppendResult,
}


def _result(kind: str, row: dict[str, Any] | None) -> Any:
    return None if row is None else _RESULTS[kind].model_validate(row)
