"""Lambda: call one step from another, where it has what the caller has not."""

import json
from typing import TYPE_CHECKING, Any

from opskit import clients
from opskit.errors import OpsError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class StepFailedError(OpsError):
    """The step that was called raised an error; the message has its type and message."""


def invoke(name: str, payload: dict[str, Any], client: "LambdaClient | None" = None) -> dict[str, Any]:
    """Call the function and return what it returns. Raises StepFailedError, or botocore's errors."""
    used: LambdaClient = client or clients.client("lambda")
    answer = used.invoke(FunctionName=name, Payload=json.dumps(payload).encode())
    result = json.loads(answer["Payload"].read() or "null")
    if answer.get("FunctionError"):
        raise StepFailedError(f"{name}: {result.get('errorType')}: {result.get('errorMessage')}")
    return dict(result or {})
