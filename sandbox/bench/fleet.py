"""`python -m sandbox.bench.fleet PORT DATABASES HOURS`: an AWS with two regions that have the same fleet and history.

moto, with each request counted by service and region where it arrives. One region is for what is measured, the other
for what it is compared with: moto's own time is then the same for both.
"""

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from moto.rds.models import RDSBackend, rds_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from opskit.decisions.snapshot import DATABASE_SNAPSHOT_NAME, snapshot_name, snapshot_tags

ACCOUNT = "123456789012"
SERVICE, ENVIRONMENT = "detection-api", "dev"
REGIONS = ("us-east-1", "eu-west-1")
COUNTS = "/_bench/counts"
QUOTA = 1_000_000
# The hours of the history end here; the runs that are measured follow.
LAST_HOUR = datetime(2026, 11, 22, 23, tzinfo=UTC)

Environ = dict[str, Any]
Start = Callable[..., Any]
_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
_ANSWER = """<{action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><{action}Result>{result}</{action}Result>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"""
_QUOTA = """<AccountQuotas><AccountQuota><AccountQuotaName>ManualSnapshots</AccountQuotaName><Used>{used}</Used>
<Max>{maximum}</Max></AccountQuota></AccountQuotas>"""
_SNAPSHOT = """<DBSnapshot><DBSnapshotIdentifier>{name}</DBSnapshotIdentifier><DBSnapshotArn>{arn}</DBSnapshotArn>
<DBInstanceIdentifier>{database}</DBInstanceIdentifier><SnapshotCreateTime>{created}</SnapshotCreateTime>
<Engine>postgres</Engine><EngineVersion>{version}</EngineVersion><AllocatedStorage>{size}</AllocatedStorage>
<Status>{status}</Status><PercentProgress>100</PercentProgress><SnapshotType>manual</SnapshotType>
<Encrypted>{encrypted}</Encrypted><TagList>{tags}</TagList></DBSnapshot>"""
_TAG = "<Tag><Key>{Key}</Key><Value>{Value}</Value></Tag>"
PAGE = 100


class Counted:
    """moto behind a counter.

    It answers DescribeAccountAttributes, which moto does not know, and DescribeDBSnapshots, which moto answers with all
    snapshots at once: in pages of no more than 100, as RDS does.
    """

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == COUNTS:
            return self._told(start)
        region, service = self._scope(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        action = re.search(rb"(?:^|&)Action=(\w+)", body) if service == "rds" else None
        name = action[1].decode() if action else str(environ.get("HTTP_X_AMZ_TARGET", environ["REQUEST_METHOD"]))
        with self._lock:
            self._counts[f"{region} {service} {name.rpartition('.')[2]}"] += 1
        own = {"DescribeAccountAttributes": _quotas, "DescribeDBSnapshots": _snapshots}.get(name)
        if own is not None:
            start("200 OK", [("Content-Type", "text/xml")])
            return [_ANSWER.format(action=name, result=own(_backend(region), dict(parse_qsl(body.decode())))).encode()]
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer

    def _told(self, start: Start) -> Iterator[bytes]:
        with self._lock:
            counts = dict(self._counts)
        start("200 OK", [("Content-Type", "application/json")])
        yield json.dumps(counts).encode()

    @staticmethod
    def _scope(environ: Environ) -> tuple[str, str]:
        found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        return (found[1], found[2]) if found else ("?", "?")


def _quotas(backend: RDSBackend, _: dict[str, str]) -> str:
    return _QUOTA.format(used=len(backend.database_snapshots), maximum=QUOTA)


def _snapshots(backend: RDSBackend, params: dict[str, str]) -> str:
    """The snapshots of the one filter that is used here, or all, from the marker on."""
    prefix = "Filters.Filter.1.Values.Value."
    wanted = sorted(value for name, value in params.items() if name.startswith(prefix))
    there = backend.database_snapshots
    # moto keeps them in the order of their creation, which serves as well as that of their names.
    found = [name for name in wanted if name in there] if wanted else list(there)
    first = int(params.get("Marker", 0))
    last = first + min(PAGE, int(params.get("MaxRecords", PAGE)))
    marker = f"<Marker>{last}</Marker>" if last < len(found) else ""
    shown = "".join(_shape(there[name]) for name in found[first:last])
    return f"{marker}<DBSnapshots>{shown}</DBSnapshots>"


def _shape(snapshot: Any) -> str:
    return _SNAPSHOT.format(
        name=snapshot.db_snapshot_identifier,
        arn=snapshot.db_snapshot_arn,
        database=snapshot.db_instance_identifier,
        created=snapshot.original_snapshot_create_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=snapshot.engine_version,
        size=snapshot.allocated_storage,
        status=snapshot.status,
        encrypted=str(bool(snapshot.storage_encrypted)).lower(),
        tags="".join(_TAG.format(**tag) for tag in snapshot.tags),
    )


def names(databases: int) -> list[str]:
    """The names of the databases of a fleet."""
    return [f"db-{number:04d}" for number in range(databases)]


def populate(region: str, databases: int, hours: int) -> None:
    """Create the databases, and a snapshot of each for each of the last hours, as the workflow takes them."""
    backend = _backend(region)
    tags = [{"Key": "backup", "Value": "true"}]
    for name in names(databases):
        backend.create_db_instance(
            {
                "db_instance_identifier": name,
                "db_instance_class": "db.t4g.medium",
                "engine": "postgres",
                "allocated_storage": 20,
                "master_username": "operator",
                "master_user_password": "not-a-secret",
                "port": 5432,
                "storage_encrypted": True,
                "tags": tags,
            }
        )
        for age in range(hours):
            hour = LAST_HOUR - timedelta(hours=age)
            given = snapshot_tags(SERVICE, ENVIRONMENT, name, hour, "history")
            backend.create_db_snapshot(
                name,
                snapshot_name(SERVICE, ENVIRONMENT, name, hour, limit=DATABASE_SNAPSHOT_NAME),
                tags=[{"Key": key, "Value": value} for key, value in given.items()],
            )


def _backend(region: str) -> RDSBackend:
    found: RDSBackend = rds_backends[ACCOUNT][region]
    return found


def main() -> int:
    """Serve until the process is ended; says `ready` once it answers."""
    port, databases, hours = (int(argument) for argument in sys.argv[1:4])
    # A property that asks the environment for each snapshot's sake.
    RDSBackend.SNAPSHOT_QUOTA = QUOTA
    for region in REGIONS:
        populate(region, databases, hours)
    server = make_server("127.0.0.1", port, Counted(), threaded=True)  # type: ignore[arg-type]  # a WSGI application
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
