"""The blob stores beside the bare thing: many small files and one large, there and back.

    python bench/files/stores.py [--count 10000] [--size 50000] [--large 2147483648] [--quick]

Each row is a process of its own, so that its peak memory is its own. Ours hashes everything twice
(to name it, and to verify it when it is read); the bare thing is `shutil.copyfile` on a disk, and
plain boto3 with eight threads on a real S3 server. Exits 1 where memory is not flat: more than
`PEAK_MB` over what the process had before the first byte.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server"))

TENANT = UUID(int=1)
MB = 2**20
#: What a process may take more than at its start, however large the files are.
PEAK_MB = 120.0
_THREADS = 8
_KINDS = ("folder ours", "folder bare", "s3 ours", "s3 bare")


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MB):
            yield chunk


class Ours:
    """A blob store of the program."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def put_small(self, files: list[Path]) -> list[Any]:
        refs = [self._store.put(TENANT, file.read_bytes()) for file in files]
        self._store.sync()
        return refs

    def get_small(self, refs: list[Any]) -> None:
        for ref in refs:
            self._store.get(TENANT, ref)

    def put_large(self, file: Path) -> Any:
        ref = self._store.put_stream(TENANT, chunks(file))
        self._store.sync()
        return ref

    def get_large(self, ref: Any) -> None:
        for _ in self._store.open(TENANT, ref):
            pass


class Copies:
    """Files copied into a folder, and on the disk at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def put_small(self, files: list[Path]) -> list[Path]:
        copies = [Path(shutil.copyfile(file, self._folder / file.name)) for file in files]
        os.sync()
        return copies

    def get_small(self, copies: list[Path]) -> None:
        for copy in copies:
            copy.read_bytes()

    def put_large(self, file: Path) -> Path:
        return self.put_small([file])[0]

    def get_large(self, copy: Path) -> None:
        for _ in chunks(copy):
            pass


class PlainBoto:
    """boto3 as its manual shows it."""

    def __init__(self, bucket: Any) -> None:
        self._client = bucket.client()
        self._bucket = bucket.bucket

    def put_small(self, files: list[Path]) -> list[str]:
        def put(file: Path) -> str:
            self._client.put_object(Bucket=self._bucket, Key=file.name, Body=file.read_bytes())
            return file.name

        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(put, files))

    def get_small(self, keys: list[str]) -> None:
        for key in keys:
            self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def put_large(self, file: Path) -> str:
        self._client.upload_file(str(file), self._bucket, file.name)
        return file.name

    def get_large(self, key: str) -> None:
        for _ in self._client.get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(MB):
            pass


def measured(task: dict[str, Any]) -> None:
    """One row, in a process of its own: seconds for each step, and the peak memory."""
    kind, small, large = task["kind"], Path(task["small"]), Path(task["large"])
    work: Any
    if kind.startswith("s3"):
        from tests.servers.s3 import Bucket

        bucket = Bucket(**task["bucket"])
        if kind == "s3 ours":
            from app.mailer.adapters.blob_s3 import S3BlobStore

            work = Ours(S3BlobStore(**bucket.options()))
        else:
            work = PlainBoto(bucket)
    elif kind == "folder ours":
        from app.mailer.adapters.blob_folder import FolderBlobStore

        work = Ours(FolderBlobStore(Path(task["work"])))
    else:
        work = Copies(Path(task["work"]))
    files = sorted(small.iterdir())
    before = _peak()
    found: dict[str, float] = {}
    found["put small"], names = _timed(lambda: work.put_small(files))
    found["get small"], _ = _timed(lambda: work.get_small(names))
    found["put large"], name = _timed(lambda: work.put_large(large))
    found["get large"], _ = _timed(lambda: work.get_large(name))
    found["more MB"] = _peak() - before
    print(json.dumps(found))


def _timed(step: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = step()
    return time.perf_counter() - start, answer


def _peak() -> float:
    # `ru_maxrss` would begin with what the process that started this one had.
    status = Path("/proc/self/status").read_text("ascii")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def made_files(folder: Path, count: int, size: int, large: int) -> tuple[Path, Path]:
    """`count` files of `size` random bytes, and one of `large`."""
    small = folder / "small"
    small.mkdir()
    for number in range(count):
        (small / f"{number:06d}.bin").write_bytes(os.urandom(size))
    path = folder / "large.bin"
    block = os.urandom(64 * MB)
    with path.open("wb") as file:
        for number in range(0, large, len(block)):
            # Blocks that are all alike might be stored once.
            file.write(number.to_bytes(8, "big") + block[8 : min(len(block), large - number)])
    return small, path


def row(kind: str, task: dict[str, Any]) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603 - this very file
        [sys.executable, __file__, "--task", json.dumps({**task, "kind": kind})],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=2 * 2**30)
    parser.add_argument("--quick", action="store_true", help="a look whether it runs")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=list(_KINDS))
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        measured(json.loads(arguments.task))
        return 0
    count, size, large = arguments.count, arguments.size, arguments.large
    if arguments.quick:
        count, large = min(count, 50), min(large, 20 * MB)

    from tests.servers.s3 import S3Server

    steps = {"put small": count * size, "get small": count * size}
    steps |= {"put large": large, "get large": large}
    print(f"{count:,} files of {size:,} bytes, and one of {large / 2**30:.2f} GiB")
    print(f"{'':12}" + "".join(f"{step + ', MB/s':>18}" for step in steps) + f"{'memory, MB':>14}")
    flat = True
    with tempfile.TemporaryDirectory(prefix="mm-bench-") as place, S3Server({}) as server:
        folder = Path(place)
        small_folder, large_file = made_files(folder, count, size, large)
        for number, kind in enumerate(arguments.kinds):
            bucket = server.new_bucket() if kind.startswith("s3") else None
            work = folder / f"work{number}"
            found = row(
                kind,
                {
                    "small": str(small_folder),
                    "large": str(large_file),
                    "work": str(work),
                    "bucket": None
                    if bucket is None
                    else {name: getattr(bucket, name) for name in bucket.__slots__},
                },
            )
            shutil.rmtree(work, ignore_errors=True)
            speeds = "".join(f"{done / MB / found[step]:>18.0f}" for step, done in steps.items())
            print(f"{kind:12}{speeds}{found['more MB']:>14.0f}", flush=True)
            flat = flat and ("bare" in kind or found["more MB"] <= PEAK_MB)
    if not flat:
        print(f"Memory is not flat: more than {PEAK_MB:.0f} MB.")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
