"""The AWS provider's schema as the plugin protocol has it, from what `scripts/derive_provider_schema.py` wrote."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from tf.gen import tfplugin_pb2 as pb

FIXTURE = Path(__file__).with_name("schema.json")
_NESTING = {
    "single": pb.Schema.NestedBlock.SINGLE,
    "list": pb.Schema.NestedBlock.LIST,
    "set": pb.Schema.NestedBlock.SET,
    "map": pb.Schema.NestedBlock.MAP,
}


@cache
def load() -> dict[str, Any]:
    """`provider`, `resource_schemas` and `data_source_schemas`, as `terraform providers schema -json` prints them."""
    (schemas,) = json.loads(FIXTURE.read_text())["provider_schemas"].values()
    return dict(schemas)


def block_of(kind: str, name: str) -> dict[str, Any]:
    """The block of a resource (`resource_schemas`) or data source (`data_source_schemas`)."""
    return dict(load()[kind][name]["block"])


def message(schema: dict[str, Any]) -> pb.Schema:
    """A schema of the fixture as a protocol message."""
    return pb.Schema(version=schema.get("version", 0), block=_block(schema["block"]))


def _block(block: dict[str, Any]) -> pb.Schema.Block:
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(attribute["type"]).encode(),
                required=attribute.get("required", False),
                optional=attribute.get("optional", False),
                computed=attribute.get("computed", False),
            )
            for name, attribute in block.get("attributes", {}).items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_block(nested["block"]),
                nesting=_NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in block.get("block_types", {}).items()
        ],
    )
