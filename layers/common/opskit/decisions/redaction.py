"""Kubernetes objects fit to be kept: without what the cluster itself fills in, and without secrets.

Secrets belong into objects of the kind Secret, which are never exported. What is redacted here was written where it
does not belong, so each one found is counted: somebody should move it.
"""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "(redacted)"

Object = dict[str, Any]

# Of the cluster's making: meaningless, or refused, when the object is applied elsewhere.
_METADATA = frozenset(
    {"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "deletionTimestamp"}
    | {"deletionGracePeriodSeconds"}
)
# The first holds the object as kubectl last applied it, with whatever was in it.
_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"})
_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|secret|token|credential|private[-_.]?key|access[-_.]?key|api[-_.]?key|encryption[-_.]?key"
    r"|(?:^|[-_.])(?:pwd|pass|dsn|auth)(?:$|[-_.])",
    re.IGNORECASE,
)
# Not what is secret, but where it is, or how long it lasts.
_HARMLESS = re.compile(
    r"(?:name|path|file|dir|arn|id|ref|url|uri|endpoint|seconds|minutes|ttl|enabled|mode|type|count)$", re.IGNORECASE
)
_OPTION = re.compile(r"^(--?[A-Za-z0-9][\w.-]*)(=|\s+)(.+)$", re.DOTALL)
_CREDENTIALS_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^/\s:@]*):(?P<password>[^/\s@]+)@", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def looks_secret(name: str) -> bool:
    """Whether the value that goes by `name` is one to keep to oneself, judged by the name alone."""
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def clean(found: Mapping[str, Any]) -> tuple[Object, int]:
    """The object as it can be applied again, and how many values in it were redacted."""
    kept = {name: value for name, value in found.items() if name != "status"}
    metadata = {name: value for name, value in kept.get("metadata", {}).items() if name not in _METADATA}
    if annotations := {n: v for n, v in metadata.pop("annotations", {}).items() if n not in _ANNOTATIONS}:
        metadata["annotations"] = annotations
    kept["metadata"] = metadata
    redactor = _Redactor()
    result: Object = redactor.walk(kept)
    if kept.get("kind") == "ConfigMap":
        for part in ("data", "binaryData"):
            if part in result:
                result[part] = {name: redactor.entry(name, value) for name, value in result[part].items()}
    return result, redactor.count


class _Redactor:
    """Walks an object; counts what it redacts."""

    def __init__(self) -> None:
        self.count = 0

    def walk(self, value: Any) -> Any:
        """`value` without secrets in environment variables, arguments and URLs."""
        if isinstance(value, Mapping):
            return {name: self._member(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.walk(inner) for inner in value]
        return self._text(value) if isinstance(value, str) else value

    def entry(self, name: str, value: Any) -> Any:
        """The value that is kept under `name`."""
        return self._redacted() if value not in ("", REDACTED) and looks_secret(name) else value

    def _member(self, name: str, inner: Any) -> Any:
        if name == "env" and isinstance(inner, list):
            return [self._variable(one) for one in inner]
        if name in ("args", "command") and isinstance(inner, list):
            return self._arguments(inner)
        return self.walk(inner)

    def _variable(self, variable: Any) -> Any:
        if isinstance(variable, Mapping) and isinstance(variable.get("value"), str):
            kept = self.entry(str(variable.get("name", "")), variable["value"])
            return {**variable, "value": self._text(kept)}
        return self.walk(variable)

    def _arguments(self, given: list[Any]) -> list[Any]:
        kept: list[Any] = []
        expected = False
        for argument in given:
            text = str(argument)
            option = _OPTION.match(text)
            if expected and not text.startswith("-"):
                kept.append(self._redacted())
            elif option and looks_secret(option[1].lstrip("-")):
                self.count += 1
                kept.append(f"{option[1]}{option[2]}{REDACTED}")
            else:
                kept.append(self.walk(argument))
            expected = text.startswith("-") and option is None and looks_secret(text.lstrip("-"))
        return kept

    def _text(self, text: str) -> str:
        if _PEM.search(text):
            return self._redacted()
        kept, found = _CREDENTIALS_IN_URL.subn(rf"\g<scheme>:{REDACTED}@", text)
        self.count += found
        return kept

    def _redacted(self) -> str:
        self.count += 1
        return REDACTED
