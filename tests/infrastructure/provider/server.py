"""Serve the provider on a socket:  python -m tests.infrastructure.provider.server SOCKET [known]

With `known`, plans say what else would only be known after the apply, so that everything that is made of it (policies,
parameters, dashboards) can be looked at in a plan.

Terraform finds it through TF_REATTACH_PROVIDERS, so that one process serves a whole run of the tests and no command
waits for a start. It ends when its standard input is closed, that is with whoever started it.
"""

# ruff: noqa: N802 - the protocol's names

import json
import sys
from concurrent import futures
from typing import Any

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from tests.infrastructure.provider import plan, schema

MAX_MESSAGE_BYTES = 64 << 20


class Provider(rpc.ProviderServicer):  # type: ignore[misc]
    """The part of protocol 6 that Terraform needs to validate, plan and apply."""

    def __init__(self, *, known: bool) -> None:
        self._known = known
        self._default_tags: dict[str, str] = {}

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        """Everything in the fixture."""
        schemas = schema.load()
        return pb.GetProviderSchema.Response(
            provider=schema.message(schemas["provider"]),
            resource_schemas={name: schema.message(of) for name, of in schemas["resource_schemas"].items()},
            data_source_schemas={name: schema.message(of) for name, of in schemas["data_source_schemas"].items()},
            server_capabilities=pb.ServerCapabilities(plan_destroy=False, get_provider_schema_optional=True),
        )

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        """The schema has been checked by Terraform; there is no more to say."""
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        """That nothing is configured which only AWS sets is the provider's to check, not Terraform's."""
        block = schema.block_of("resource_schemas", request.type_name)
        config = _read(request.config)
        problems = [
            pb.Diagnostic(
                severity=pb.Diagnostic.ERROR,
                summary="Value for unconfigurable attribute",
                detail=f'Can\'t configure a value for "{name}": its value will be decided by AWS.',
                attribute=pb.AttributePath(steps=[pb.AttributePath.Step(attribute_name=name)]),
            )
            for name in plan.unconfigurable(block)
            if config.get(name) is not None
        ]
        return pb.ValidateResourceConfig.Response(diagnostics=problems)

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        """As above."""
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        """Remember the default tags, which the AWS provider merges into those of every resource."""
        blocks = _read(request.config).get("default_tags") or [{}]
        self._default_tags = dict(blocks[0].get("tags") or {})
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:
        """States are of this version."""
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request: Any, context: Any) -> Any:
        """What was applied is there."""
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        """The proposed state, with what only AWS knows unknown."""
        proposed = _read(request.proposed_new_state)
        if proposed is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        block = schema.block_of("resource_schemas", request.type_name)
        planned = plan.plan(request.type_name, block, proposed, self._default_tags)
        if self._known:
            planned = plan.apply(request.type_name, block, planned)
        return pb.PlanResourceChange.Response(planned_state=_write(planned))

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        """The planned state, with identifiers for what was unknown."""
        planned = _read(request.planned_state)
        if planned is None:
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        block = schema.block_of("resource_schemas", request.type_name)
        return pb.ApplyResourceChange.Response(new_state=_write(plan.apply(request.type_name, block, planned)))

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        """Account, region, zones."""
        block = schema.block_of("data_source_schemas", request.type_name)
        return pb.ReadDataSource.Response(state=_write(plan.read(request.type_name, block, _read(request.config))))

    def StopProvider(self, request: Any, context: Any) -> Any:
        """Nothing is under way that could be stopped."""
        return pb.StopProvider.Response()


def _read(value: Any) -> Any:
    if value.json:
        return json.loads(value.json)
    return msgpack.unpackb(value.msgpack, ext_hook=lambda *_: plan.Unknown, strict_map_key=False)


def _write(value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value, default=_unknown))


def _unknown(value: Any) -> msgpack.ExtType:
    if value is not plan.Unknown:
        raise TypeError(f"cannot be sent to Terraform: {value!r}")
    return msgpack.ExtType(0, b"\x00")


def main() -> None:
    """Serve until standard input ends."""
    limits = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=limits)
    rpc.add_ProviderServicer_to_server(Provider(known="known" in sys.argv[2:]), server)
    server.add_insecure_port(f"unix:{sys.argv[1]}")
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main()
