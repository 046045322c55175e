"""Failures in the form in which a Kubernetes API server reports them."""

from typing import Any


class StatusError(Exception):
    """Becomes a `Status` object and its HTTP status.

    Fields as in https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    """

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def as_dict(self) -> dict[str, Any]:
        """The `Status` object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


def bad_request(message: str) -> StatusError:
    """400: the request cannot be understood."""
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    """401: like the real one, without saying why."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(message: str) -> StatusError:
    """403: known, but not allowed."""
    return StatusError(403, "Forbidden", message)


def not_found(kind: str, name: str) -> StatusError:
    """404: no object of plural `kind` has that name."""
    return StatusError(404, "NotFound", f'{kind} "{name}" not found', {"name": name, "kind": kind})


def unknown_path() -> StatusError:
    """404: no such API."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> StatusError:
    """405: the resource exists, the verb does not."""
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def already_exists(kind: str, name: str) -> StatusError:
    """409: create of an object that exists."""
    return StatusError(409, "AlreadyExists", f'{kind} "{name}" already exists', {"name": name, "kind": kind})


def conflict(kind: str, name: str, message: str, causes: list[dict[str, Any]] | None = None) -> StatusError:
    """409: a stale resourceVersion, or fields that another manager owns (one cause per field)."""
    details: dict[str, Any] = {"name": name, "kind": kind}
    if causes:
        details["causes"] = causes
    return StatusError(409, "Conflict", message, details)


def expired(message: str) -> StatusError:
    """410: the watch asks for history that is no longer kept."""
    return StatusError(410, "Expired", message)


def unsupported_media_type(message: str) -> StatusError:
    """415: a patch format that this server does not speak."""
    return StatusError(415, "UnsupportedMediaType", message)


def invalid(kind: str, name: str, causes: list[tuple[str, str]]) -> StatusError:
    """422: `causes` are (field, what is wrong with it)."""
    text = ", ".join(f"{field}: {problem}" for field, problem in causes)
    details = {
        "name": name,
        "kind": kind,
        "causes": [{"reason": "FieldValueInvalid", "message": problem, "field": field} for field, problem in causes],
    }
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)
