"""The platform of an environment as Terraform would make it: what is planned, and how it looks once it is applied."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Resource:
    """A resource as planned."""

    address: str
    kind: str
    name: str
    index: str | int | None
    values: dict[str, Any]

    def __getitem__(self, attribute: str) -> Any:
        return self.values[attribute]


@dataclass(frozen=True)
class Platform:
    """A plan, made by the provider that knows everything beforehand.

    Resources are found by their address without the provider's prefix: `platform["db_instance.main"]`.
    """

    environment: str
    plan: dict[str, Any]

    @cached_property
    def resources(self) -> dict[str, Resource]:
        """Every managed resource, by its address."""
        return {
            found["address"]: Resource(
                address=found["address"],
                kind=found["type"],
                name=found["name"],
                index=found.get("index"),
                values=found["values"],
            )
            for found in self.plan["planned_values"]["root_module"]["resources"]
            if found["mode"] == "managed"
        }

    def __getitem__(self, address: str) -> Resource:
        return self.resources[f"aws_{address}"]

    def of(self, kind: str, name: str | None = None) -> list[Resource]:
        """All resources of a type, or those of one name in the configuration."""
        return [r for r in self.resources.values() if r.kind == f"aws_{kind}" and name in (None, r.name)]

    @property
    def outputs(self) -> dict[str, Any]:
        """Outputs by name."""
        return {name: output["value"] for name, output in self.plan["planned_values"]["outputs"].items()}

    @property
    def variables(self) -> dict[str, Any]:
        """Variables by name, defaults included."""
        return {name: variable["value"] for name, variable in self.plan["variables"].items()}

    def statements(self, attribute: str = "policy") -> Iterator[tuple[Resource, dict[str, Any]]]:
        """Every statement of every policy that is held in `attribute`, with the resource that it is of."""
        for resource in self.resources.values():
            if isinstance(resource.values.get(attribute), str):
                for statement in json.loads(resource[attribute]).get("Statement", ()):
                    yield resource, statement


def listed(value: Any) -> list[Any]:
    """What a policy has as one or as many, as many."""
    return value if isinstance(value, list) else [value]
