"""Where bytes are kept: in a folder, or in a bucket where S3_ENDPOINT_URL is set."""

from __future__ import annotations

from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.ports import BlobStore
from app.settings import Settings


def make_blob_store(settings: Settings, corner: str = "") -> BlobStore:
    """The store of this installation; another `corner` of it is a store of its own."""
    if settings.s3_endpoint_url is None:
        return FolderBlobStore(settings.blob_dir / corner)
    # boto3 takes half a second to load.
    from app.mailer.adapters.blob_s3 import S3BlobStore

    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    assert key is not None
    assert secret is not None
    return S3BlobStore(
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        bucket=settings.s3_bucket,
        access_key_id=key.get_secret_value(),
        secret_access_key=secret.get_secret_value(),
        prefix=f"{corner}/" if corner else "",
    )
