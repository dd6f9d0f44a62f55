from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.sample import (
    MOST_CHOSEN,
    PRIME,
    Chosen,
    First,
    Random,
    Sample,
    check_sample,
    lots,
    rank,
)
from app.mailer.domain.errors import MailerError

VERSION = UUID("5f1c6f7e-28a5-4c55-9f4c-6f3c8f1f6a11")


def _drawn(seed: int, count: int, of: int, version: UUID = VERSION) -> list[int]:
    drawn = lots(version, seed)
    return sorted(range(of), key=lambda position: rank(position, drawn))[:count]


def test_the_same_seed_draws_the_same_ones_and_another_one_others() -> None:
    assert _drawn(7, 10, 1000) == _drawn(7, 10, 1000)
    assert _drawn(7, 10, 1000) != _drawn(8, 10, 1000)
    assert _drawn(7, 10, 1000) != _drawn(7, 10, 1000, UUID(int=1))


@given(st.integers(0, PRIME - 1))
def test_no_two_come_at_the_same_place(seed: int) -> None:
    drawn = lots(VERSION, seed)
    assert len({rank(position, drawn) for position in range(2000)}) == 2000


@pytest.mark.parametrize("seed", range(20))
def test_a_sample_is_of_everything(seed: int) -> None:
    # 400 of 4000: of each tenth about 40, and neighbours no oftener than chance has them.
    drawn = _drawn(seed, 400, 4000)
    tenths = [sum(position // 400 == tenth for position in drawn) for tenth in range(10)]
    assert all(15 < each < 70 for each in tenths), tenths
    chosen = set(drawn)
    assert 15 < sum(position + 1 in chosen for position in drawn) < 70


def test_no_product_needs_more_than_64_bits() -> None:
    assert (PRIME - 1) ** 2 < 2**62


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (First(0), "A sample of 0 letters is none."),
        (Random(-1, 3), "A sample of -1 letters is none."),
        (Random(1, PRIME), f"{PRIME} is no seed."),
        (Random(1, -1), "-1 is no seed."),
        (Chosen(()), "No entry was named."),
        (Chosen(("e",) * (MOST_CHOSEN + 1)), "1001 entries are named, and 1000 may be."),
    ],
)
def test_what_nobody_can_draw(sample: Sample, says: str) -> None:
    with pytest.raises(MailerError) as refused:
        check_sample(sample)
    assert refused.value.message == says
    assert refused.value.hint


@pytest.mark.parametrize("sample", [First(1), Random(3), Random(3, 0), Chosen(("e1",))])
def test_what_can_be_drawn(sample: Sample) -> None:
    check_sample(sample)
