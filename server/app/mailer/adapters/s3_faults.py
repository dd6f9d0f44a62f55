"""What went wrong with a bucket, in a sentence that names neither key nor secret."""

from __future__ import annotations

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from app.mailer.domain.errors import StorageFailed

_KEYS = {
    "403",
    "AccessDenied",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
}
_FULL = {"507", "QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull"}


def storage_failed(error: Exception, endpoint_url: str, bucket: str) -> StorageFailed:
    """The fault of a call to `endpoint_url` as an error that a person can act on."""
    if isinstance(error, S3UploadFailedError) and isinstance(error.__context__, ClientError):
        error = error.__context__
    place = f'The bucket "{bucket}" at {endpoint_url}'
    if not isinstance(error, ClientError):
        return StorageFailed(
            f"{place} cannot be reached: {_words(error)}.",
            "Check S3_ENDPOINT_URL, and that the server runs.",
        )
    said = error.response.get("Error", {})
    code, message = str(said.get("Code", "")), str(said.get("Message", "")).rstrip(".")
    if code in _KEYS:
        return StorageFailed(
            f"{place} refuses this key ({code}).",
            "Check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION, and what the key may do.",
        )
    if code in ("NoSuchBucket", "404"):
        return StorageFailed(f"{place} is not there.", "Make it, or correct S3_BUCKET.")
    if code in _FULL:
        return StorageFailed(f"{place} is full.", "Make room, or raise its quota.")
    return StorageFailed(
        f"{place} cannot be used: {code or 'unknown'}{f' ({message})' if message else ''}.",
        "The server's log says more.",
    )


def _words(error: Exception) -> str:
    """The kind of the fault; its text may hold a signed address."""
    name = type(error).__name__.removesuffix("Error").removesuffix("Exception")
    return "".join(f" {char.lower()}" if char.isupper() else char for char in name).strip()
