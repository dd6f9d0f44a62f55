from __future__ import annotations

import socket
import ssl

import pytest

from app.mailer.adapters.connection import (
    PrivateAddress,
    certificate_names,
    explain,
    verified_tls,
)
from app.mailer.ports import Security, ServerAccess

ACCESS = ServerAccess("mail.example.org", 465, Security.TLS, "anna", "geheim", timeout_seconds=12.5)


@pytest.mark.parametrize(
    ("error", "words", "permanent_here"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "“mail.example.org”. Is the host name", True),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "name service does not answer", False),
        (UnicodeError("label too long"), "“mail.example.org:465” is not a possible server", True),
        (OverflowError("port"), "not a possible server", True),
        (PrivateAddress("x"), "“mail.example.org” leads into a private network", True),
        (ConnectionRefusedError(), "mail.example.org:465 refused the connection", True),
        (TimeoutError(), "did not answer within 12.5 seconds", False),
        (ConnectionResetError(), "hung up", False),
        (OSError(101, "Network is unreachable"), "Network is unreachable", False),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), "starttls", True),
        (ssl.SSLEOFError(8, "EOF"), "hung up", False),
        (ssl.SSLError(1, "[SSL] handshake failure"), "TLS 1.2 is the least", True),
    ],
)
def test_a_fault_is_explained(error: Exception, words: str, permanent_here: bool) -> None:
    fault = explain(error, ACCESS)
    assert words in fault.message
    assert fault.permanent_here is permanent_here
    assert "geheim" not in fault.message


def test_tls_is_verified_and_new_enough() -> None:
    context = verified_tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("certificate", [None, b"", b"not DER"])
def test_a_certificate_that_names_nobody(certificate: bytes | None) -> None:
    assert certificate_names(certificate) == ""
