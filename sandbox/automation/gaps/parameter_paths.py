"""GetParametersByPath is authorized on the path as it is sent, as a parameter's ARN.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html: the action supports
resource-level permissions for `parameter`, as GetParameters does.

ministack authorizes GetParametersByPath on `*`, so that only a policy for all parameters would do.
"""

import json
from typing import Any

from ministack.core import iam_actions

from sandbox.automation.patching import replace


def apply() -> None:
    """Wrap the function that says which resource a request is about."""
    original: Any = None

    def extract(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any, **more: Any
    ) -> Any:
        target = headers.get("x-amz-target", "")
        if service == "ssm" and target.endswith(".GetParametersByPath"):
            return _arn(json.loads(body), *_place(rest, more))
        return original(service, method, path, headers, body, *rest, **more)

    original = replace(iam_actions, "extract_resource_arn", "82f51700695c", extract)


def _place(rest: tuple[Any, ...], more: dict[str, Any]) -> tuple[str, str]:
    """Region and account among the arguments after the body."""
    given = dict(zip(("query_params", "region", "account_id"), rest, strict=False)) | more
    return str(given["region"]), str(given["account_id"])


def _arn(request: dict[str, Any], region: str, account: str) -> str:
    return f"arn:aws:ssm:{region}:{account}:parameter{request.get('Path', '')}"
