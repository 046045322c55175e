"""One component of a manifest, as the record of a plan names it: read again, with its hash checked again."""

from collections.abc import Mapping

from opskit.adapters.manifests import Manifests
from opskit.decisions.manifest import Component, Kind
from opskit.errors import ManifestError
from opskit.ledger import Ledger


def read_component(bucket: str, ledger: Ledger, written: Mapping[str, str], kind: Kind, resource: str) -> Component:
    """The verified component of `kind` and `resource` in the manifest `written` (`key`, `sha256`).

    Raises NotFoundError if the manifest is gone, ManifestError if it was changed or has no such component.
    """
    part = Manifests(bucket, ledger).read(written["key"], sha256=written["sha256"]).component(kind, resource)
    if part is None:
        raise ManifestError(f"{written['key']} has no verified {kind} {resource}")
    return part
