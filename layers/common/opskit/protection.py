"""Which snapshots must stay because something names them: the last complete manifest, a restore or drill that runs."""

from collections.abc import Mapping
from typing import Any

from opskit.adapters.manifests import Manifests
from opskit.decisions.past_runs import names_in_use
from opskit.errors import ManifestError, NotFoundError
from opskit.ledger import Ledger

_USERS = ("restore", "drill")
# Of each workflow one runs at a time, but for restores into isolation.
_RECENT = 10


def protected_names(
    ledger: Ledger, manifests: Manifests, last_complete: Mapping[str, Any] | None
) -> tuple[dict[str, str], str | None]:
    """The names with the reason of each, and why nothing may be deleted at all, or None.

    `last_complete`: key and hash of the last complete manifest. One that cannot be read might name anything.
    """
    names = names_in_use(record for workflow in _USERS for record in ledger.operations(workflow, _RECENT))
    if last_complete is None:
        return names, None
    try:
        manifest = manifests.read(last_complete["key"], sha256=last_complete["sha256"])
    except (NotFoundError, ManifestError) as error:
        return names, f"the last complete manifest cannot be read ({error})"
    reason = f"the last complete manifest, of {manifest.hour:%Y-%m-%d %H}:00, names it"
    return {part.id: reason for part in manifest.components if part.id} | names, None
