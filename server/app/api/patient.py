"""Answers that take long to send: nobody who takes nothing is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import anyio
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send


class PatientResponse(StreamingResponse):
    """`held` is let go once all is sent, or nobody took a piece for `patience` seconds."""

    def __init__(
        self,
        content: AsyncIterable[bytes] | Iterable[bytes],
        held: AbstractContextManager[object],
        patience: float,
        **options: Any,
    ) -> None:
        super().__init__(content, **options)
        self._held = held
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient(message: Message) -> None:
            with anyio.fail_after(self._patience):
                await send(message)

        with self._held:
            try:
                await super().__call__(scope, receive, patient)
            except (TimeoutError, ClientDisconnect):
                self.not_taken(scope)

    def not_taken(self, scope: Scope) -> None:
        """Nobody took all of it."""
