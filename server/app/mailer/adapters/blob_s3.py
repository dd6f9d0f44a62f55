"""The blob store in a bucket: Garage first, and anything else that speaks S3.

Uses what Garage has: path style, SigV4, multipart; no versioning, access lists or bucket policies.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any
from uuid import UUID

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from app.mailer.adapters.blob_checks import (
    CHUNK,
    Digest,
    checked_bytes,
    checked_chunks,
    checked_name,
    damaged,
    joined_pieces,
    overtaken_pieces,
    piece_name,
)
from app.mailer.adapters.local_disk import local_disk
from app.mailer.adapters.s3_faults import storage_failed
from app.mailer.domain.errors import BlobMissing
from app.mailer.ports import PIECE_BYTES, BlobRef

#: Blobs on their way at once: what a build waits for is mostly the network.
_WORKERS = 8
_PART = PIECE_BYTES


class S3BlobStore:
    """`ports.BlobStore` in a bucket, keys `<prefix><tenant>/<ab>/<sha256>`.

    S3 shows an object once it is whole, and not before. `put` hands the bytes to a small pool of
    threads and waits only while all of them are busy; `sync` waits for those of its own thread, so
    that no other one takes its failures away. A stream goes to a temporary file (TMPDIR) first,
    since its key is known only behind its last byte.
    """

    def __init__(
        self,
        *,
        endpoint_url: str,
        region: str,
        bucket: str,
        access_key_id: str,
        secret_access_key: str,
        prefix: str = "",
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._endpoint_url = endpoint_url
        with self._told():
            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=endpoint_url,
                region_name=region,
                aws_access_key_id=access_key_id,
                aws_secret_access_key=secret_access_key,
                config=Config(
                    signature_version="s3v4",
                    # The signature covers the bytes, so that the server checks what it got.
                    s3={"addressing_style": "path", "payload_signing_enabled": True},
                    # Trailing checksums are newer than many servers.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    retries={"mode": "standard", "total_max_attempts": 4},
                    connect_timeout=5,
                    read_timeout=30,
                    max_pool_connections=2 * _WORKERS,
                ),
            )
        self._transfer = TransferConfig(
            multipart_threshold=2 * _PART,
            multipart_chunksize=_PART,
            max_concurrency=4,
            preferred_transfer_client="classic",
        )
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="s3")
        self._free = threading.BoundedSemaphore(_WORKERS)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[None]] = {}

    def put(self, tenant: UUID, data: bytes) -> BlobRef:
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        key = self._key(tenant, ref)
        self._free.acquire()
        future = self._pool.submit(self._put_and_free, key, data)
        with self._lock:
            self._under_way[key] = future
        future.add_done_callback(lambda done: self._forget(key, done))
        waiting = self._waiting()
        waiting[:] = [each for each in waiting if not _succeeded(each)]
        waiting.append(future)
        return ref

    def put_stream(self, tenant: UUID, chunks: Iterable[bytes]) -> BlobRef:
        digest = Digest()
        with _local_file() as file:
            with local_disk():
                for chunk in digest.passing(chunks):
                    file.write(chunk)
                file.flush()
            key = self._key(tenant, digest.ref)
            with self._told():
                # In parts where it is large; where one fails, boto3 aborts the whole.
                self._client.upload_file(file.name, self._bucket, key, Config=self._transfer)
        return digest.ref

    def get(self, tenant: UUID, ref: BlobRef) -> bytes:
        with self._told():
            data = self._body(self._key(tenant, ref), ref).read()
        return checked_bytes(bytes(data), ref)

    def open(self, tenant: UUID, ref: BlobRef) -> Iterator[bytes]:
        with self._told():
            body = self._body(self._key(tenant, ref), ref)
        return checked_chunks(self._chunks(body), ref)

    def has(self, tenant: UUID, ref: BlobRef) -> bool:
        key = self._key(tenant, ref)
        with self._told():
            self._arrive(key)
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if _status(error) == 404:
                    return False
                raise
        return bool(found["ContentLength"] == ref.size)

    def delete(self, tenant: UUID, ref: BlobRef) -> None:
        key = self._key(tenant, ref)
        with self._told():
            self._arrive(key)
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def sync(self) -> None:
        waiting = self._waiting()
        mine = list(waiting)
        waiting.clear()
        failures = [error for each in mine if (error := each.exception()) is not None]
        if failures:
            raise failures[0]

    def check(self) -> None:
        key = f"{self._prefix}check"
        with self._told():
            # Some servers make a bucket by themselves when something is put into it.
            self._client.head_bucket(Bucket=self._bucket)
            self._put(key, b"")
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def stage(self, tenant: UUID, upload: UUID, offset: int, turn: int, data: bytes) -> None:
        self._put(self._folder(tenant, upload) + piece_name(offset, turn), data)

    def staged(self, tenant: UUID, upload: UUID) -> Iterator[bytes]:
        folder = self._folder(tenant, upload)
        with self._told():
            names = self._names(folder)
        reached = 0
        for name, offset in joined_pieces(names):
            if offset == reached:
                with self._told():
                    answer = self._client.get_object(Bucket=self._bucket, Key=folder + name)
                for chunk in self._chunks(answer["Body"]):
                    reached += len(chunk)
                    yield chunk

    def unstage(self, tenant: UUID, upload: UUID) -> None:
        with self._told():
            self._remove(self._folder(tenant, upload))

    def unstage_overtaken(self, tenant: UUID, upload: UUID, offset: int, turn: int) -> None:
        folder = self._folder(tenant, upload)
        with self._told():
            for name in overtaken_pieces(self._names(folder), offset, turn):
                self._client.delete_object(Bucket=self._bucket, Key=folder + name)

    def sweep(self, before: datetime) -> None:
        with self._told():
            newest: dict[str, datetime] = {}
            for each in self._objects(f"{self._prefix}uploads/"):
                folder = each["Key"].rpartition("/")[0] + "/"
                newest[folder] = max(newest.get(folder, each["LastModified"]), each["LastModified"])
            for folder, changed in newest.items():
                if changed < before:
                    self._remove(folder)
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for each in [upload for page in pages for upload in page.get("Uploads", [])]:
                if each["Initiated"] < before:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=each["Key"], UploadId=each["UploadId"]
                    )

    def _key(self, tenant: UUID, ref: BlobRef) -> str:
        name = checked_name(ref)
        return f"{self._prefix}{tenant}/{name[:2]}/{name}"

    def _folder(self, tenant: UUID, upload: UUID) -> str:
        return f"{self._prefix}uploads/{tenant}/{upload}/"

    def _put_and_free(self, key: str, data: bytes) -> None:
        try:
            self._put(key, data)
        finally:
            self._free.release()

    def _put(self, key: str, data: bytes) -> None:
        with self._told():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    def _body(self, key: str, ref: BlobRef) -> Any:
        self._arrive(key)
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                raise BlobMissing(
                    f"The blob {ref.sha256} is not in the bucket.", "Build the campaign again."
                ) from None
            raise
        if answer["ContentLength"] != ref.size:
            answer["Body"].close()
            raise damaged(ref)
        return answer["Body"]

    def _chunks(self, body: Any) -> Iterator[bytes]:
        with self._told():
            try:
                yield from body.iter_chunks(CHUNK)
            finally:
                body.close()

    def _objects(self, folder: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=folder
        )
        for page in pages:
            yield from page.get("Contents", [])

    def _names(self, folder: str) -> list[str]:
        return [each["Key"].removeprefix(folder) for each in self._objects(folder)]

    def _remove(self, folder: str) -> None:
        # One by one: the request for many needs a checksum that servers do not agree on.
        for each in list(self._objects(folder)):
            self._client.delete_object(Bucket=self._bucket, Key=each["Key"])

    def _waiting(self) -> list[Future[None]]:
        found: list[Future[None]] | None = getattr(self._own, "waiting", None)
        if found is None:
            found = self._own.waiting = []
        return found

    def _arrive(self, key: str) -> None:
        """Wait for what is being put under this key; it may be asked for before `sync`."""
        with self._lock:
            future = self._under_way.get(key)
        if future is not None:
            future.result()

    def _forget(self, key: str, future: Future[None]) -> None:
        with self._lock:
            if self._under_way.get(key) is future:
                del self._under_way[key]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns a fault of the server or the way to it into one that a person can act on."""
        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, HTTPError, OSError) as error:
            raise storage_failed(error, self._endpoint_url, self._bucket) from error


def _succeeded(future: Future[None]) -> bool:
    return future.done() and future.exception() is None


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def _local_file() -> Iterator[IO[bytes]]:
    with local_disk():
        file = tempfile.NamedTemporaryFile(prefix="multimailer-")  # noqa: SIM115 - closed below
    with file:
        yield file
