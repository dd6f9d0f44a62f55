"""Kinds of numbers and switches that requests hold, as JSON tells them apart from text."""

from __future__ import annotations

from pydantic import BeforeValidator, StrictBool


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("is not a number")
    return value


#: Behind the bounds of a number in `Annotated`: without it pydantic takes `true` and "1" for 1.
#: Its own `strict` would refuse 3.0, which is 3 in JSON.
REALLY = BeforeValidator(_number)
Switch = StrictBool
