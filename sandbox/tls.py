"""The certificate of the sandbox's Kubernetes API, from an authority that lives and dies with the sandbox."""

from pathlib import Path

import trustme


def write(directory: Path) -> None:
    """Create `ca.pem`, `server.pem` (chain) and `server.key` in `directory`, for 127.0.0.1 and localhost.

    The authority's own key is never written, so nothing else can be signed with it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="Detection Ops sandbox")
    server = authority.issue_cert("127.0.0.1", "localhost", organization_name="Detection Ops sandbox")
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    for index, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(str(directory / "server.pem"), append=index > 0)
    key = directory / "server.key"
    key.touch(mode=0o600)
    server.private_key_pem.write_to_path(str(key))
