"""The manifests of snapshot runs: objects in the backup bucket whose hashes the ledger keeps."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opskit.adapters.objects import Objects, Written
from opskit.decisions.manifest import Manifest, parse
from opskit.errors import ManifestError, NotFoundError
from opskit.ledger import Ledger

WORKFLOW = "snapshot"
# Reading is waiting for S3.
_READERS = 8
# Records without a manifest lie between those with one: dry runs, refusals, second deliveries.
_RECORDS_PER_MANIFEST = 2

_logger = logging.getLogger(__name__)


class Manifests:
    """The manifests in one bucket, found through the snapshot records of one ledger.

    After `recent`, `problems` says of each manifest that was left out why.
    """

    def __init__(self, bucket: str, ledger: Ledger, objects: Objects | None = None) -> None:
        """`objects`: used in place of the bucket as the process's own client reaches it."""
        self._objects = objects or Objects(bucket)
        self._ledger = ledger
        self.problems: tuple[str, ...] = ()

    def write(self, manifest: Manifest) -> Written:
        """Write `manifest` at its key; its hash is the caller's to put on record. Safe to repeat.

        Raises NameTakenError if there is another manifest at its key.
        """
        return self._objects.put(manifest.key, manifest.to_bytes(), content_type="application/json")

    def read(self, key: str, *, sha256: str | None) -> Manifest:
        """The manifest at `key`; `sha256` is the hash on record, None if there is none to compare with.

        Raises NotFoundError if there is no such object, ManifestError if it was changed or cannot be understood.
        """
        return parse(self._objects.get(key), sha256_recorded=sha256)

    def recent(self, limit: int = 72) -> list[Manifest]:
        """The manifests of the last runs, at most `limit`, newest first, each with the hash on record.

        One that is missing, was changed, or whose record lacks its hash is left out, logged, and told in `problems`.
        Raises botocore's errors: a bucket that cannot be read is not one without manifests.
        """
        records = self._ledger.operations(WORKFLOW, limit * _RECORDS_PER_MANIFEST)
        written = [found for record in records if (found := record.facts.get("manifest"))][:limit]
        with ThreadPoolExecutor(_READERS) as pool:
            outcomes = list(pool.map(self._read_or_reason, written))
        self.problems = tuple(outcome for outcome in outcomes if isinstance(outcome, str))
        for problem in self.problems:
            _logger.warning("a manifest is left out: %s", problem)
        found = [outcome for outcome in outcomes if isinstance(outcome, Manifest)]
        return sorted(found, key=lambda manifest: (manifest.hour, manifest.finished_at, manifest.run), reverse=True)

    def _read_or_reason(self, recorded: dict[str, Any]) -> Manifest | str:
        key, sha256 = recorded.get("key"), recorded.get("sha256")
        if not key or not sha256:
            return f"the record of {key or 'a run'} has no hash of it"
        try:
            return self.read(key, sha256=sha256)
        except NotFoundError:
            return f"{key} is not there"
        except ManifestError as error:
            return f"{key}: {error}"
