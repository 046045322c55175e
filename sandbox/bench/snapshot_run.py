"""A snapshot run without a state machine: the handlers, called in its order, on an account that moto plays."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from functions.snapshot import close_snapshot, plan_snapshots, prune_snapshots, take_snapshots, write_manifest
from opskit import clients
from opskit.clock import timestamp
from opskit.platform import PARAMETERS, Platform, endpoint_parameter
from opskit.settings import Settings
from opskit.step import Execution, Run
from sandbox.bench import fleet
from sandbox.bench.snapshot import Clock

BUCKETS = ("backup_bucket", "cache_export_bucket", "terraform_state_bucket")
# What the step that looks into the service's database would have found; a moto has no data.
CONTENTS = {"inline": {"database": {"identifier": "db-0000", "contents": {"schema_sha256": "5c", "rows": {"t": 1}}}}}


class Workflow:
    """Runs of one environment."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._clock = Clock()
        self._platform = _platform()
        self._stack = _stack()

    def cycle(self, hour: datetime) -> dict[str, Any]:
        """The run of `hour`; what it returns at its end."""
        self._clock.set(hour)
        run = self._run(f"run-{hour:%Y%m%d%H}", hour)
        given = {"scheduled_at": timestamp(hour), "components": ["database"]}

        def call(step: Any, **more: Any) -> dict[str, Any]:
            handler: Callable[[dict[str, Any], Run], dict[str, Any]] = step.handler.__wrapped__
            return handler({"settings": self._settings, "input": given, **more}, run)

        plan = call(plan_snapshots)
        known = {"plan": plan, "lock": plan["lock"]}
        taking = call(take_snapshots, **known, parts=plan["parts"], first=True)
        while taking["pending"]:
            taking = call(take_snapshots, **known, parts=taking["parts"], first=False)
        manifest = call(
            write_manifest,
            **known,
            parts=taking["parts"],
            before=CONTENTS,
            after=CONTENTS,
            cluster={},
            objects={},
            trouble="",
            finished_at=timestamp(self._clock.now()),
        )
        pruned = call(prune_snapshots, **known, stage="last", manifest=manifest, pruned_first=None)
        ended = {"manifest": manifest, "pruned": pruned, "pruned_first": None}
        return call(close_snapshot, **known, **ended, outcome="INCOMPLETE", reason="databases only")

    def _run(self, name: str, hour: datetime) -> Run:
        arn = f"arn:aws:states:us-east-1:{fleet.ACCOUNT}:execution:detection-api-dev-snapshot:{name}"
        return Run(
            settings=self._stack,
            execution=Execution(arn, name, hour),
            load_platform=lambda: self._platform,
            clock=self._clock,
            workflow="snapshot",
        )


def _stack() -> Settings:
    """The stack's own resources."""
    clients.client("dynamodb").create_table(
        TableName="ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    clients.client("s3").create_bucket(Bucket="evidence")
    topic = clients.client("sns").create_topic(Name="operations")["TopicArn"]
    return Settings(fleet.SERVICE, fleet.ENVIRONMENT, "ledger", "evidence", topic)


def _platform() -> Platform:
    """The platform contract, as far as these steps ask for it; and where the database is."""
    values = dict.fromkeys(PARAMETERS, "none") | {bucket: bucket.replace("_", "-") for bucket in BUCKETS}
    values |= {name: "arn:aws:x" for name in PARAMETERS if name.endswith("_arn")} | {"service_url": "http://x"}
    for bucket in BUCKETS:
        clients.client("s3").create_bucket(Bucket=values[bucket])
    found = clients.client("rds").describe_db_instances(DBInstanceIdentifier="db-0000")["DBInstances"][0]["Endpoint"]
    clients.client("ssm").put_parameter(
        Name=endpoint_parameter(fleet.SERVICE, fleet.ENVIRONMENT, "database"),
        Value=f"{found['Address']}:{found['Port']}",
        Type="String",
    )
    return Platform.parse(fleet.SERVICE, fleet.ENVIRONMENT, values)
