"""Reaching a mail server: verified TLS, and network faults in words that a clerk can act on."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from cryptography import x509

from app.mailer.domain.errors import MailerError
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import ServerAccess

#: OpenSSL's numbers for a certificate that is sound but names another host.
_WRONG_HOST = frozenset({62, 64})
_EXPIRED, _NOT_YET_VALID = 10, 9
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a server could not be reached; `permanent_here` as in `ports.TransportFailure`."""

    message: str
    permanent_here: bool


class PrivateAddress(OSError):
    """The host leads into a private network, where this installation does not let it lead."""


def connect(access: ServerAccess, rules: HostRules) -> socket.socket:
    """A TCP connection to the server. Where `access.confined`, `rules` must allow its addresses.

    The name is looked up once, and exactly what was looked at is connected to: a name service that
    answers otherwise the next time (DNS rebinding) changes nothing.
    """
    addresses = _look_up(access.host, access.port)
    if access.confined and not rules.allow(access.host, [each[-1][0] for each in addresses]):
        raise PrivateAddress(access.host)
    failed: OSError | None = None
    for family, kind, protocol, address in addresses:
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(access.timeout_seconds)
            sock.connect(address)
        except OSError as error:
            failed = error
            if sock is not None:
                sock.close()
        else:
            return sock
    raise failed or OSError("the host has no address")


def refuse_private_host(host: str, rules: HostRules) -> None:
    """Raises `MailerError` for a host within a private network that `rules` do not allow.

    A name that nobody knows at the moment passes: `connect` looks again.
    """
    if rules.know(host):
        return
    try:
        addresses = _look_up(host, None)
    except (OSError, UnicodeError):
        return
    if not rules.allow(host, [each[-1][0] for each in addresses]):
        raise MailerError(private_host(host), PRIVATE_HINT)


def private_host(host: str) -> str:
    """Says so, and does not say which address: that is nobody's business outside."""
    return f"“{host}” leads into a private network, which no mail account may do here."


PRIVATE_HINT = "Whoever runs this installation can allow it by ALLOWED_PRIVATE_HOSTS."


def _look_up(
    host: str, port: int | None
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [
        (family, kind, protocol, address)  # type: ignore[misc]  # an IPv6 one has two more
        for family, kind, protocol, _name, address in found
    ]


def verified_tls() -> ssl.SSLContext:
    """TLS 1.2 or later; certificate and host name verified against the system's authorities.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` name others (OpenSSL's own variables).
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def inspecting_tls() -> ssl.SSLContext:
    """Verifies nothing: only to look at a certificate that was refused. Never log in over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def names_another_host(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _WRONG_HOST


def certificate_names(certificate: bytes | None) -> str:
    """The hosts that a DER certificate is for, or an empty text where it does not say."""
    if not certificate:
        return ""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ""
    hosts = names.get_values_for_type(x509.DNSName)
    hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return ", ".join(hosts[:5])


def explain(error: Exception, access: ServerAccess, *, certificate_for: str = "") -> Fault:
    """What went wrong between us and the server, and what to do about it."""
    host, place = access.host, f"{access.host}:{access.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault(_about_certificate(error, host, place, certificate_for), permanent_here=True)
    if isinstance(error, ssl.SSLError):
        if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER" in str(error):
            message = f"{place} does not speak TLS at once. Is security “starttls” meant here?"
            return Fault(message, permanent_here=True)
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Fault(f"{place} hung up while encryption was being agreed on.", False)
        reason = getattr(error, "reason", None) or type(error).__name__
        message = f"No encryption could be agreed on with {place} ({reason}); TLS 1.2 is the least."
        return Fault(message, permanent_here=True)
    if isinstance(error, PrivateAddress):
        return Fault(f"{private_host(host)} {PRIVATE_HINT}", permanent_here=True)
    if isinstance(error, socket.gaierror):
        passing = error.errno == socket.EAI_AGAIN
        hint = "The name service does not answer." if passing else "Is the host name right?"
        return Fault(f"No address was found for the server “{host}”. {hint}", not passing)
    if isinstance(error, UnicodeError | ValueError | OverflowError):
        return Fault(f"“{place}” is not a possible server. Check host and port.", True)
    if isinstance(error, ConnectionRefusedError):
        return Fault(f"{place} refused the connection. Are host and port right?", True)
    if isinstance(error, TimeoutError):
        seconds = f"{access.timeout_seconds:g}"
        message = (
            f"{place} did not answer within {seconds} seconds. Are host, port and security right, "
            "and does a firewall let the connection out?"
        )
        return Fault(message, False)
    if isinstance(error, ConnectionError):
        return Fault(f"{place} hung up. Are port and security right?", False)
    return Fault(f"{place} cannot be reached: {getattr(error, 'strerror', None) or error}.", False)


def _about_certificate(
    error: ssl.SSLCertVerificationError, host: str, place: str, certificate_for: str
) -> str:
    if error.verify_code in _WRONG_HOST:
        named = f" but for {certificate_for}" if certificate_for else ""
        return (
            f"The certificate of {place} is not for “{host}”{named}. "
            "Use the host name that the certificate has, or ask the provider."
        )
    if error.verify_code == _EXPIRED:
        return f"The certificate of {place} has expired. The provider must renew it."
    if error.verify_code == _NOT_YET_VALID:
        return f"The certificate of {place} is not valid yet. Is this machine's clock right?"
    if error.verify_code in _UNKNOWN_ISSUER:
        return (
            f"The certificate of {place} comes from an authority that this machine does not know. "
            "If the authority is your own, name its file in SSL_CERT_FILE."
        )
    return f"The certificate of {place} cannot be trusted: {error.verify_message}."
