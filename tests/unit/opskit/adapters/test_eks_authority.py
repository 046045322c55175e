"""The certificate authorities that EKS makes have no key identifiers, which Python 3.13 demands by default."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from opskit.adapters.kubernetes_api import KubernetesApi
from opskit.errors import ClusterError

from .servers import serve

PYTHON_3_13_FLAGS = ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT


@pytest.fixture
def as_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ssl.create_default_context

    def create(*args: object, **kwargs: object) -> ssl.SSLContext:
        context = original(*args, **kwargs)  # type: ignore[arg-type]
        context.verify_flags |= PYTHON_3_13_FLAGS
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, SHA256())


def pem_of(made: x509.Certificate) -> str:
    return made.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def eks_like(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    """An authority as EKS makes it, in PEM, and the TLS context of a server that it vouches for."""
    root_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certificate("kubernetes", root_key, "kubernetes", root_key, ca=True)
    leaf = certificate("kube-apiserver", server_key, "kubernetes", root_key, ca=False)
    chain = tmp_path / "server.pem"
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    chain.write_text(pem_of(leaf) + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return pem_of(root), context


@pytest.mark.usefixtures("as_python_3_13")
def test_is_trusted_under_the_defaults_of_python_3_13(eks_like: tuple[str, ssl.SSLContext]) -> None:
    authority, context = eks_like
    with serve(lambda _: (200, {}, b'{"major": "1"}'), context) as server:
        assert KubernetesApi(server.url, authority, lambda: "token").get("/version") == {"major": "1"}


@pytest.mark.usefixtures("as_python_3_13")
def test_another_authority_is_still_refused(eks_like: tuple[str, ssl.SSLContext]) -> None:
    _, context = eks_like
    other_key = ec.generate_private_key(ec.SECP256R1())
    other = pem_of(certificate("kubernetes", other_key, "kubernetes", other_key, ca=True))
    with serve(lambda _: (200, {}, b"{}"), context) as server:
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            KubernetesApi(server.url, other, lambda: "token").get("/version")
        assert server.requests == []
