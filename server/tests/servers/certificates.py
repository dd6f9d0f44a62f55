"""A private certificate authority and server certificates, good and bad, for localhost."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one server: the certificate (with its chain's end) and its private key."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Certificates:
    """Makes the authority and four certificates in `folder` (which must exist).

    `good` is for localhost, 127.0.0.1 and ::1; `expired` ended yesterday; `wrong_host` names
    another host; `self_signed` is right but for its issuer. A client trusts the authority by
    `client_context()`, or with SSL_CERT_FILE set to `authority`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._issuer = _name("MultiMailer test authority")
        self._issuer_key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        root = (
            x509.CertificateBuilder()
            .subject_name(self._issuer)
            .issuer_name(self._issuer)
            .public_key(self._issuer_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(self._issuer_id(), critical=False)
            .sign(self._issuer_key, hashes.SHA256())
        )
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        here = ("localhost", "127.0.0.1", "::1")
        self.good = self._issue("good", here, now - _DAY, now + 30 * _DAY)
        self.expired = self._issue("expired", here, now - 30 * _DAY, now - _DAY)
        self.wrong_host = self._issue(
            "wrong-host", ("mail.example.org",), now - _DAY, now + 30 * _DAY
        )
        self.self_signed = self._issue(
            "self-signed", here, now - _DAY, now + 30 * _DAY, by_authority=False
        )

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def _issuer_id(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self._issuer_key.public_key())

    def _issue(
        self,
        label: str,
        hosts: Sequence[str],
        start: datetime,
        end: datetime,
        *,
        by_authority: bool = True,
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(hosts[0])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._issuer if by_authority else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        if by_authority:
            issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                self._issuer_id()
            )
            builder = builder.add_extension(issuer_id, critical=False)
        signed = builder.sign(self._issuer_key if by_authority else key, hashes.SHA256())
        made = Certificate(self._folder / f"{label}.pem", self._folder / f"{label}.key")
        made.cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
