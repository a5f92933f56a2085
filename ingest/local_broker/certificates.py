"""An authority and its certificates for a broker that is tried out: PEM files for both ends of TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("127.0.0.1", "localhost")


class Authority:
    """A certificate authority of its own, for tests.

    Args:
        folder: where the PEM files go; made if missing.
        name: file name of the authority's own certificate (``ca`` makes ``ca.pem``).
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / f"{name}.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test authority {name}")])
        builder = self._builder(self._subject, self._key.public_key(), 30.0)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        signed = builder.sign(self._key, hashes.SHA256())
        self.path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, common_name: str, hosts: Sequence[str] = HOSTS, days: float = 30.0, password: str | None = None
    ) -> Path:
        """Write ``name.crt``, ``name.key`` (PKCS 8), and ``name.pem`` (key, then certificate); return the last.

        Args:
            name: name of the files.
            common_name: the subject's CN; ``worker`` is the principal ``User:CN=worker``.
            hosts: addresses and host names that it stands for.
            days: validity from now; negative: it has expired.
            password: encrypts the key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        names = x509.SubjectAlternativeName([_general_name(h) for h in hosts])
        builder = self._builder(subject, key.public_key(), days).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        (self.folder / f"{name}.crt").write_bytes(certificate)
        for path, content in ((f"{name}.key", pem), (f"{name}.pem", pem + certificate)):
            (self.folder / path).touch(mode=0o600)
            (self.folder / path).write_bytes(content)
        return self.folder / f"{name}.pem"

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        start = now - dt.timedelta(days=1 + max(0.0, -days))
        return x509.CertificateBuilder(
            issuer_name=self._subject,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=start,
            not_valid_after=now + dt.timedelta(days=days),
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
