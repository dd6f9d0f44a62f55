"""A flag that a process and those forked from it share."""

from __future__ import annotations

import mmap


class SharedFlag:
    """Implements `ports.StopSign` over memory that forked processes have in common."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        self._memory[0] = 1

    def is_set(self) -> bool:
        return self._memory[0] != 0
