"""A second SMTP server, aiosmtpd, written by others: it agrees with nobody's misreadings."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers.network import free_ports
from tests.servers.smtp_script import Received


class _Keeper:
    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.messages: list[Received] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        data = envelope.original_content or b""
        self.messages.append(
            Received(
                data=data,
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                mail_options=tuple(envelope.mail_options),
                helo=str(session.host_name or ""),
                user=None,
                tls=session.ssl is not None,
                peer=session.peer if isinstance(session.peer, tuple) else ("", 0),
                connection=0,
            )
        )
        if self.folder is not None:
            kept = self.folder / f"{len(self.messages):05}.eml"
            kept.with_suffix(".rcpt").write_text("\n".join(envelope.rcpt_tos), "utf-8")
            kept.write_bytes(data)
        return "250 2.0.0 kept"


class AiosmtpdServer:
    """Takes every message without AUTH or TLS; `messages` and `folder` as in `SmtpServer`.

    Beside each message in `folder` stands its envelope: 00001.rcpt has a recipient on each line.
    """

    host = "127.0.0.1"

    def __init__(self, *, folder: Path | None = None, port: int = 0) -> None:
        self.port = port or free_ports(1)[0]  # aiosmtpd cannot choose one
        self._keeper = _Keeper(folder)
        self._controller = Controller(
            self._keeper,
            hostname=self.host,
            port=self.port,
            enable_SMTPUTF8=True,
            data_size_limit=100_000_000,
        )

    @property
    def messages(self) -> list[Received]:
        return self._keeper.messages

    def start(self) -> Self:
        self._controller.start()
        return self

    def stop(self) -> None:
        self._controller.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
