"""Certificates of the sandbox's Kubernetes API and engines, from an authority that lives and dies with it."""

from collections.abc import Sequence
from pathlib import Path

import trustme

from sandbox.addresses import ENDPOINTS


def write(directory: Path) -> None:
    """Create in `directory` `ca.pem`, `server.pem` (chain) and `server.key`, for 127.0.0.1 and localhost, and
    `engines.pem` and `engines.key`, which are for every engine's endpoint and no other name, as on AWS.

    The authority's own key is never written, so nothing else can be signed with it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="Detection Ops sandbox")
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    _issue(authority, directory, "server", ("127.0.0.1", "localhost"))
    _issue(authority, directory, "engines", ENDPOINTS)


def _issue(authority: trustme.CA, directory: Path, name: str, identities: Sequence[str]) -> None:
    issued = authority.issue_cert(*identities, organization_name="Detection Ops sandbox")
    for index, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(directory / f"{name}.pem"), append=index > 0)
    key = directory / f"{name}.key"
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(key))
