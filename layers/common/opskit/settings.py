"""What the template tells every function through its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from opskit.errors import PlatformContractError

_VARIABLES = {
    "service": "OPS_SERVICE",
    "environment": "OPS_ENVIRONMENT",
    "ledger_table": "LEDGER_TABLE",
    "evidence_bucket": "EVIDENCE_BUCKET",
    "topic_arn": "TOPIC_ARN",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Whose life is run, where, and the stack's own resources. All of it is required."""

    service: str
    environment: str
    ledger_table: str
    evidence_bucket: str
    topic_arn: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the environment; raises PlatformContractError naming every variable that is missing."""
        missing = [name for name in _VARIABLES.values() if not environ.get(name, "").strip()]
        if missing:
            raise PlatformContractError(
                f"the function's environment lacks {', '.join(missing)}; "
                "template.yaml sets them under Globals.Function.Environment"
            )
        return cls(**{field: environ[name].strip() for field, name in _VARIABLES.items()})
