"""One API call: read from a signed HTTP request with botocore's service model, answered in its protocol."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from sandbox.platform.errors import AwsError

SERVICES = {
    "elasticloadbalancing": "elbv2",
    "ecr": "ecr",
    "eks": "eks",
    "ec2": "ec2",
    "rds": "rds",
    "elasticache": "elasticache",
    "tagging": "resourcegroupstaggingapi",
}
"""Signing name to botocore's service name."""

_IAM_PREFIXES = {"tagging": "tag"}
"""Of IAM actions, where it is not the signing name."""

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return self.status < 400


@dataclass(frozen=True, slots=True)
class Call:
    """One API call. `params` has the member names of the operation's input shape."""

    service: str
    prefix: str
    operation: str
    params: Mapping[str, Any]
    region: str
    access_key_id: str
    session_token: str | None
    protocol: str
    model: OperationModel = field(repr=False)

    @property
    def action(self) -> str:
        """The IAM action, e.g. `elasticloadbalancing:ModifyListener`."""
        return f"{self.prefix}:{self.operation}"

    @property
    def read_only(self) -> bool:
        """Whether the operation's name says that it changes nothing."""
        return self.operation.startswith(("Describe", "List", "Get", "BatchGet", "BatchCheck"))

    def answer(self, result: Mapping[str, Any]) -> Answer:
        """A successful answer; `result` has the member names of the operation's output shape."""
        serializer = get_serializer_class(self.service, self.protocol)(operation_model=self.model)
        serialized = serializer.serialize(result)
        body = serialized["body"]
        return Answer(
            serialized["status_code"],
            body if isinstance(body, bytes) else str(body).encode(),
            tuple((name, str(value)) for name, value in serialized["headers"].items()),
        )

    def error(self, error: AwsError) -> Answer:
        """An error answer."""
        return error_answer(self.protocol, error)


def error_answer(protocol: str, error: AwsError) -> Answer:
    """`error` in a protocol's shape, as botocore's parsers read it."""
    request_id = str(uuid.uuid4())
    headers: tuple[tuple[str, str], ...] = (("x-amzn-RequestId", request_id),)
    if protocol in ("json", "rest-json"):
        document: dict[str, str] = {"message": error.message}
        if protocol == "json":
            document["__type"] = error.code
        headers += (("x-amzn-ErrorType", error.code), ("Content-Type", "application/json"))
        return Answer(error.status, json.dumps(document).encode(), headers)
    headers += (("Content-Type", "text/xml"),)
    code, message = escape(error.code), escape(error.message)
    if protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    else:
        kind = "Sender" if error.status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message>"
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return Answer(error.status, b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode(), headers)


def guess_protocol(request: Request) -> str:
    """The protocol of a request that could not be read as a call."""
    content_type = request.content_type or ""
    if "x-amz-target" in request.headers or "x-amz-json" in content_type:
        return "json"
    return "query" if "x-www-form-urlencoded" in content_type else "rest-json"


def read_call(request: Request) -> Call:
    """Read `request`; raises `AwsError` if it is not signed or is no operation of a served service."""
    match = _CREDENTIAL.match(request.headers.get("Authorization", ""))
    if match is None:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    prefix = match["service"].lower()
    service = SERVICES.get(prefix)
    if service is None:
        raise AwsError("UnknownService", f"The platform plane does not serve {prefix}", 404)
    model = get_service_model(service)
    protocol = determine_request_protocol(model, request.content_type)
    uri_params: dict[str, Any] = {}
    operation: OperationModel
    if protocol in ("query", "ec2"):
        name = request.values.get("Action", "")
    elif protocol == "json":
        name = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    else:
        try:
            routed, uri_params = get_service_router(service).match(request)
            name = routed.name
        except (NotFound, NotImplementedError):
            name = ""
    if name not in model.operation_names:
        raise AwsError("InvalidAction", f"Could not find operation {name or request.path} of {prefix}", 400)
    operation = model.operation_model(name)
    parsed = PROTOCOL_PARSERS[protocol](operation, map_type=dict).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return Call(
        service=service,
        prefix=_IAM_PREFIXES.get(prefix, prefix),
        operation=name,
        params=parsed or {},
        region=match["region"],
        access_key_id=match["key"],
        session_token=request.headers.get("X-Amz-Security-Token"),
        protocol=protocol,
        model=operation,
    )
