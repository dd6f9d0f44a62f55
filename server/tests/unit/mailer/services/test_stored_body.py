"""Large bodies, sealed in pieces while they come."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.errors import BlobDamaged, ConfigurationError
from app.mailer.services import stored_body
from app.mailer.services.stored_body import Sealer, opened

BOX = AesSecretBox(b"k" * 32)
TENANT, BODY = UUID(int=1), UUID(int=2)


@pytest.fixture(autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_body, "PIECE", 7)
        yield


def sealed(*chunks: bytes) -> bytes:
    sealer = Sealer(BOX, TENANT, BODY)
    return b"".join([*(sealer.feed(chunk) for chunk in chunks), sealer.end()])


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 200))
def test_what_comes_in_any_chunks_is_read_in_any_chunks(chunks: list[bytes], step: int) -> None:
    stored = sealed(*chunks)
    pieces = [stored[at : at + step] for at in range(0, len(stored), step)]
    assert b"".join(opened(BOX, TENANT, BODY, pieces)) == b"".join(chunks)


def test_nothing_of_it_can_be_read() -> None:
    assert b"hunter2" not in sealed(b"hunter2" * 10)


@pytest.mark.parametrize("cut", [0, 1, 60, -1])
def test_one_that_is_cut_off_is_damaged(cut: int) -> None:
    with pytest.raises(BlobDamaged):
        list(opened(BOX, TENANT, BODY, [sealed(b"0123456789")[:cut]]))


def test_pieces_open_in_their_own_place_alone() -> None:
    stored = sealed(b"0123456" * 3)
    length = 4 + int.from_bytes(stored[:4], "big")
    swapped = stored[length : 2 * length] + stored[:length] + stored[2 * length :]
    for box_of, data in (((TENANT, BODY), swapped), ((TENANT, UUID(int=3)), stored)):
        with pytest.raises(ConfigurationError):
            list(opened(BOX, *box_of, [data]))
