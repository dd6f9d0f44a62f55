"""One SMTP connection, from the greeting to a login, and then command by command.

Extensions used here: STARTTLS (RFC 3207) and AUTH (RFC 4954).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import replace

from app.mailer.adapters import smtp_auth
from app.mailer.adapters.connection import (
    certificate_names,
    connect,
    explain,
    inspecting_tls,
    names_another_host,
    verified_tls,
)
from app.mailer.adapters.smtp_wire import Wire, WireError
from app.mailer.domain.delivery.replies import said
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import (
    RecipientReply,
    Reply,
    Security,
    ServerAccess,
    Stage,
    TransportFailure,
)

_QUIT_SECONDS = 2.0
_HELO_NAME = re.compile(r"[A-Za-z0-9.\-]+|\[[A-Za-z0-9.:]+\]")


class SmtpSession:
    """A connection that was greeted, encrypted as asked and logged in; or `TransportFailure`.

    Every failure of the connection closes it; `alive` tells. `offers` has the EHLO keywords in
    upper case with their parameters. Certificates are verified; `ssl_context` adds authorities.
    `hosts` says where an access that is confined may lead.
    """

    def __init__(
        self,
        access: ServerAccess,
        *,
        hosts: HostRules,
        helo_name: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if helo_name is not None and not _HELO_NAME.fullmatch(helo_name):
            raise ValueError(f"{helo_name!r} is neither a host name nor an address in brackets")
        self._access = access
        self._hosts = hosts
        self._helo_name = helo_name
        self._context = ssl_context
        self.alive = True
        self.offers: dict[str, str] = {}
        self.wire = Wire(self._connected(), access.timeout_seconds)
        try:
            self._greet()
            self._log_in()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hangs up, whatever is going on."""
        self.alive = False
        self.wire.close()

    def quit(self) -> None:
        """Says QUIT, waits a little for the answer, which means nothing, and hangs up."""
        try:
            self.wire.send(b"QUIT\r\n")
            self.wire.read_reply(min(_QUIT_SECONDS, self._access.timeout_seconds))
        except WireError:
            pass
        finally:
            self.close()

    def say(self, stage: Stage, *commands: str) -> None:
        try:
            self.wire.send("".join(f"{command}\r\n" for command in commands).encode())
        except WireError as error:
            self.close()
            raise self.failure(stage, str(error)) from None

    def reply(self, stage: Stage) -> Reply:
        try:
            return self.wire.read_reply()
        except WireError as error:
            self.close()
            hint = "; are port and security right?" if stage is Stage.CONNECT else "."
            raise self.failure(stage, f"{error}{hint}") from None

    def command(self, stage: Stage, command: str) -> Reply:
        self.say(stage, command)
        return self.reply(stage)

    def failure(
        self,
        stage: Stage,
        message: str,
        reply: Reply | None = None,
        recipients: Iterable[RecipientReply] = (),
        *,
        permanent_here: bool = False,
    ) -> TransportFailure:
        """A failure to raise, which says where it happened and ends in a full stop."""
        end = "" if message.endswith((".", "?")) else "."
        return TransportFailure(
            stage,
            f"{self._access.host}:{self._access.port}: {message}{end}",
            reply,
            tuple(recipients),
            permanent_here=permanent_here,
        )

    # -- the way to a login

    def _connected(self) -> socket.socket:
        access = self._access
        try:
            sock = connect(access, self._hosts)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError, OverflowError) as error:
            fault = explain(error, access)
            raise TransportFailure(
                Stage.CONNECT, fault.message, permanent_here=fault.permanent_here
            ) from None
        return sock

    def _greet(self) -> None:
        if self._access.security is Security.TLS:
            self._start_tls()
        greeting = self.reply(Stage.CONNECT)
        if greeting.code != 220:
            raise self._refusal(Stage.CONNECT, "the server does not serve us", greeting)
        self._hello()
        if self._access.security is Security.STARTTLS:
            self._upgrade()

    def _hello(self) -> None:
        own = self.wire.own_address
        # An address literal needs no name service and no guess (RFC 5321, 4.1.4).
        literal = f"[IPv6:{own.partition('%')[0]}]" if ":" in own else f"[{own}]"
        name = self._helo_name or literal
        reply = self.command(Stage.CONNECT, f"EHLO {name}")
        self.offers = _offers(reply) if reply.code == 250 else {}
        if reply.code // 100 == 5:
            reply = self.command(Stage.CONNECT, f"HELO {name}")
        if reply.code != 250:
            raise self._refusal(Stage.CONNECT, "the server does not greet back", reply)

    def _upgrade(self) -> None:
        if "STARTTLS" not in self.offers:
            raise self.failure(
                Stage.TLS,
                "the server does not offer STARTTLS, so nothing is sent. "
                "With port 465, security is “tls”",
                permanent_here=True,
            )
        reply = self.command(Stage.TLS, "STARTTLS")
        if reply.code != 220:
            raise self._refusal(Stage.TLS, "the server does not start encryption", reply)
        if not self.wire.quiet():
            # Said before encryption, to be believed after it: somebody injects (CVE-2011-0411).
            raise self.failure(
                Stage.TLS,
                "unencrypted data followed the answer to STARTTLS; somebody may be tampering",
                permanent_here=True,
            )
        self._start_tls()
        self._hello()

    def _start_tls(self) -> None:
        try:
            self.wire.start_tls(self._context or verified_tls(), self._access.host)
        except (OSError, ValueError) as error:
            self.close()
            named = self._refused_certificate() if names_another_host(error) else ""
            fault = explain(error, self._access, certificate_for=named)
            raise TransportFailure(
                Stage.TLS, fault.message, permanent_here=fault.permanent_here
            ) from None

    def _refused_certificate(self) -> str:
        """Which hosts the certificate is for: asked again, without a password at hand."""
        stranger = replace(self._access, username=None, password=None, oauth_token=None)
        try:
            look = SmtpSession(
                stranger,
                hosts=self._hosts,
                helo_name=self._helo_name,
                ssl_context=inspecting_tls(),
            )
        except TransportFailure:
            return ""
        names = certificate_names(look.wire.certificate)
        look.quit()
        return names

    def _log_in(self) -> None:
        access = self._access
        if not (access.username or access.password or access.oauth_token):
            return
        try:
            said = smtp_auth.dialogue(access, self.offers.get("AUTH", "").split())
        except smtp_auth.CannotLogIn as error:
            raise self.failure(Stage.AUTH, str(error), permanent_here=True) from None
        reply = self.command(Stage.AUTH, said.first)
        for answer in said.answers:
            if reply.code == 334:
                reply = self.command(Stage.AUTH, answer)
        if reply.code == 235:
            return
        told = Reply(reply.code, smtp_auth.without_secrets(reply.text, said, access))
        what = f"the user name “{access.username}” or its password was refused"
        if reply.code // 100 != 5:
            what = f"no login as “{access.username}” is possible now"
        raise self._refusal(Stage.AUTH, what, told)

    def _refusal(self, stage: Stage, what: str, reply: Reply) -> TransportFailure:
        """A refusal that concerns every message; one for good (5yz) will not pass by waiting."""
        for_good = reply.code // 100 == 5
        return self.failure(stage, f"{what}: {said(reply)}", reply, permanent_here=for_good)


def _offers(reply: Reply) -> dict[str, str]:
    offers: dict[str, str] = {}
    for line in reply.text.split("\n")[1:]:
        # Some old servers write AUTH=LOGIN, beside AUTH or in its place.
        keyword, _, value = line.strip().upper().replace("AUTH=", "AUTH ").partition(" ")
        offers[keyword] = f"{offers.get(keyword, '')} {value}".strip()
    return offers
