"""Cache parameter groups, and what their parameters mean to a Redis server."""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError

GIB = 2**30
_NAME = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,254}(?<!-)", re.IGNORECASE)
RESERVED = "reserved-memory-percent"


@dataclass(frozen=True, slots=True)
class _Parameter:
    """`allowed` is as the API words it: `a,b,c` or `low-high`, empty for anything."""

    default: str
    allowed: str
    kind: str = "integer"
    option: bool = True
    """Whether it is an option of redis-server by the same name."""


# "Engine specific parameters" in the ElastiCache user guide; those that this Redis can change as it runs.
_PARAMETERS: Mapping[str, _Parameter] = {
    "lazyfree-lazy-eviction": _Parameter("no", "yes,no", "string"),
    "lazyfree-lazy-expire": _Parameter("no", "yes,no", "string"),
    "lfu-decay-time": _Parameter("1", "0-4294967295"),
    "lfu-log-factor": _Parameter("10", "0-4294967295"),
    "maxmemory-policy": _Parameter(
        "volatile-lru",
        "volatile-lru,allkeys-lru,volatile-lfu,allkeys-lfu,volatile-random,allkeys-random,volatile-ttl,noeviction",
        "string",
    ),
    "maxmemory-samples": _Parameter("3", "1-64"),
    "notify-keyspace-events": _Parameter("", "", "string"),
    RESERVED: _Parameter("25", "0-100", option=False),
    "slowlog-log-slower-than": _Parameter("10000", "-9223372036854775808-9223372036854775807"),
    "slowlog-max-len": _Parameter("128", "0-9223372036854775807"),
    "tcp-keepalive": _Parameter("300", "0-2147483647"),
    "timeout": _Parameter("0", "0-2147483647"),
}
FAMILIES: Mapping[str, re.Pattern[str]] = {
    "redis6.x": re.compile(r"6\.(x|\d+)(\.\d+)?"),
    "redis7": re.compile(r"7\.(x|\d+)(\.\d+)?"),
    "valkey7": re.compile(r"7\.\d+(\.\d+)?"),
    "valkey8": re.compile(r"8\.\d+(\.\d+)?"),
}


def family_of(engine: str, version: str) -> str:
    """The parameter group family of an engine version; raises `AwsError` if there is none."""
    for family, pattern in FAMILIES.items():
        if family.startswith(engine) and pattern.fullmatch(version):
            return family
    raise AwsError("InvalidParameterCombination", f"Cannot find version {version} for {engine}")


@dataclass(slots=True)
class ParameterGroup:
    """`values` holds what was set; all else has its default."""

    name: str
    family: str
    description: str
    arn: str
    values: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """A CacheParameterGroup of the API."""
        return {
            "CacheParameterGroupName": self.name,
            "CacheParameterGroupFamily": self.family,
            "Description": self.description,
            "IsGlobal": False,
            "ARN": self.arn,
        }

    def value(self, name: str) -> str:
        """What a parameter is set to, or its default."""
        return self.values.get(name, _PARAMETERS[name].default)

    def options(self, memory_gib: float, scale: float) -> dict[str, str]:
        """The options of redis-server, on a node with that much memory.

        "reserved-memory-percent": the part of a node's memory that is not for data.
        """
        usable = memory_gib * GIB * scale * (1 - int(self.value(RESERVED)) / 100)
        # 0 would mean: without limit.
        options = {"maxmemory": str(max(1, round(usable)))}
        return options | {name: self.value(name) for name, parameter in _PARAMETERS.items() if parameter.option}


class ParameterGroups:
    """All parameter groups, and the calls about them.

    `lock` serializes them with the rest; it is not held when `changed` is called.
    """

    def __init__(
        self,
        arn: Callable[[str, str], str],
        lock: threading.RLock,
        in_use: Callable[[str], bool],
        changed: Callable[[str], None],
    ) -> None:
        """`changed(name)` is called when the servers that use a group must learn of new values."""
        self._arn = arn
        self._lock = lock
        self._in_use = in_use
        self._changed = changed
        self._groups = {
            name: ParameterGroup(name, family, f"Default parameter group for {family}", arn("parametergroup", name))
            for family in FAMILIES
            for name in (f"default.{family}",)
        }

    def get(self, name: str) -> ParameterGroup:
        """Raises `AwsError` CacheParameterGroupNotFound."""
        group = self._groups.get(name.lower())
        if group is None:
            raise AwsError("CacheParameterGroupNotFound", f"CacheParameterGroup {name} not found.", 404)
        return group

    def all(self) -> list[ParameterGroup]:
        """Every group, by name."""
        return [self._groups[name] for name in sorted(self._groups)]

    def create(self, call: Call) -> dict[str, Any]:
        """CreateCacheParameterGroup."""
        name = call.params["CacheParameterGroupName"].lower()
        family = call.params["CacheParameterGroupFamily"]
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidParameterValue", f"The parameter CacheParameterGroupName is not valid: {name}")
        if family not in FAMILIES:
            raise AwsError("InvalidParameterValue", f"CacheParameterGroupFamily {family} is not a valid family.")
        made = ParameterGroup(name, family, call.params["Description"], self._arn("parametergroup", name))
        with self._lock:
            if name in self._groups:
                raise AwsError("CacheParameterGroupAlreadyExists", f"Cache parameter group {name} already exists")
            self._groups[name] = made
        return {"CacheParameterGroup": made.describe()}

    def modify(self, call: Call) -> dict[str, Any]:
        """ModifyCacheParameterGroup: all values or none."""
        group = self._modifiable(call)
        pairs = {one["ParameterName"]: one.get("ParameterValue", "") for one in call.params["ParameterNameValues"]}
        for name, value in pairs.items():
            _check(name, value)
        with self._lock:
            group.values |= pairs
        self._changed(group.name)
        return {"CacheParameterGroupName": group.name}

    def reset(self, call: Call) -> dict[str, Any]:
        """ResetCacheParameterGroup."""
        group = self._modifiable(call)
        with self._lock:
            if call.params.get("ResetAllParameters"):
                group.values.clear()
            for one in call.params.get("ParameterNameValues") or ():
                group.values.pop(one["ParameterName"], None)
        self._changed(group.name)
        return {"CacheParameterGroupName": group.name}

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteCacheParameterGroup."""
        group = self._modifiable(call)
        with self._lock:
            if self._in_use(group.name):
                raise AwsError(
                    "InvalidCacheParameterGroupState", "One or more cache clusters are still members of this group."
                )
            self._groups.pop(group.name, None)
        return {}

    def parameters(self, call: Call) -> list[dict[str, Any]]:
        """The Parameters of DescribeCacheParameters, unpaged."""
        group, source = self.get(call.params["CacheParameterGroupName"]), call.params.get("Source")
        described = [
            {
                "ParameterName": name,
                "ParameterValue": group.value(name),
                "Source": "user" if name in group.values else "system",
                "DataType": parameter.kind,
                "AllowedValues": parameter.allowed,
                "IsModifiable": True,
                "ChangeType": "immediate",
            }
            for name, parameter in _PARAMETERS.items()
        ]
        return [one for one in described if source in (None, one["Source"])]

    def _modifiable(self, call: Call) -> ParameterGroup:
        group = self.get(call.params["CacheParameterGroupName"])
        if group.name.startswith("default."):
            raise AwsError(
                "InvalidParameterValue", f"The default cache parameter group {group.name} cannot be modified."
            )
        return group


def _check(name: str, value: str) -> None:
    parameter = _PARAMETERS.get(name)
    if parameter is None:
        raise AwsError("InvalidParameterValue", f"Could not find parameter with name: {name}")
    if parameter.kind == "integer":
        low, high = (int(text) for text in re.fullmatch(r"(-?\d+)-(\d+)", parameter.allowed).groups())  # type: ignore[union-attr]
        fits = re.fullmatch(r"-?\d{1,20}", value) is not None and low <= int(value) <= high
    else:
        fits = not parameter.allowed or value in parameter.allowed.split(",")
        # Events are written as letters; nothing else may get into the server's configuration.
        fits = fits and re.fullmatch(r"[A-Za-z-]*", value) is not None
    if not fits:
        raise AwsError(
            "InvalidParameterValue",
            f"The parameter value {value} for parameter {name} is not valid; allowed: {parameter.allowed or 'text'}",
        )
