"""The service on RDS and ElastiCache as it is on AWS: TLS everywhere, tokens in place of passwords."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from sandbox import tls
from sandbox.config import Config
from sandbox.provision.clients import Clients
from tests.sandbox.fixtures.automation import eventually, free_ports, running_plane
from tests.sandbox.fixtures.elasticache import Rig
from tests.sandbox.fixtures.platform import process
from tests.sandbox.fixtures.postgres import PASSWORD
from tests.sandbox.fixtures.service import serving

TOKEN = "a-token-of-16-or-more"


def instance(clients: Clients) -> dict[str, Any]:
    """A new database instance, available."""
    rds = clients["rds"]
    rds.create_db_instance(
        DBInstanceIdentifier="service",
        DBName="detections",
        Engine="postgres",
        DBInstanceClass="db.t4g.medium",
        AllocatedStorage=20,
        MasterUsername="postgres",
        MasterUserPassword=PASSWORD,
        Port=clients.config.database_port,
        EnableIAMDatabaseAuthentication=True,
    )

    def available() -> dict[str, Any] | None:
        found = dict(rds.describe_db_instances(DBInstanceIdentifier="service")["DBInstances"][0])
        return found if found["DBInstanceStatus"] == "available" else None

    return eventually(available, 60)


@contextmanager
def administration(config: Config, endpoint: dict[str, Any]) -> Iterator[Any]:
    session = pg8000.native.Connection(
        "postgres",
        host=endpoint["Address"],
        port=endpoint["Port"],
        database="detections",
        password=PASSWORD,
        ssl_context=ssl.create_default_context(cafile=config.tls_dir / "ca.pem"),
    )
    try:
        yield session
    finally:
        session.close()


def test_tokens_and_tls_to_both_neighbours(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    with running_plane(tmp_path_factory.mktemp("sandbox")) as plane:
        config = replace(plane.config, database_port=free_ports(1)[0], engine_pace_seconds=0.1)
        config.save()
        tls.write(config.tls_dir)
        clients = Clients(config)
        iam = plane.client("iam")
        iam.create_user(UserName="pod")
        key = iam.create_access_key(UserName="pod")["AccessKey"]
        with process("sandbox.platform", config, f"{config.platform_url}/_sandbox/health"):
            database = instance(clients)
            endpoint = database["Endpoint"]
            with administration(config, endpoint) as session:
                session.run("CREATE ROLE detection_api LOGIN")
                session.run("GRANT rds_iam TO detection_api")
                session.run("GRANT CREATE, USAGE ON SCHEMA public TO detection_api")
            rig = Rig(config)
            group = rig.create(TransitEncryptionEnabled=True, AuthToken=TOKEN)
            host, port = rig.endpoint(group)
            authority = str(config.tls_dir / "ca.pem")
            environment = {
                "DATABASE_ENDPOINT": f"{endpoint['Address']}:{endpoint['Port']}",
                "DATABASE_PASSWORD": "",
                "DATABASE_IAM": "true",
                "DATABASE_CA": authority,
                "CACHE_URL": f"rediss://{host}:{port}",
                "CACHE_TOKEN": TOKEN,
                "CACHE_CA": authority,
                "QUEUE_PATH": str(tmp_path / "queue.sqlite"),
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
                "AWS_REGION": config.region,
                "AWS_DEFAULT_REGION": config.region,
            }
            with serving(tmp_path, wait=False, **environment) as service:
                # Nobody has allowed it to connect yet.
                eventually(lambda: "database not reached" in service.messages())
                assert service.post("queued")[0] == 202
                resource = f"{database['DbiResourceId']}/detection_api"
                arn = f"arn:aws:rds-db:{config.region}:{config.account}:dbuser:{resource}"
                allow = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": arn}
                policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
                iam.put_user_policy(UserName="pod", PolicyName="connect", PolicyDocument=policy)
                service.when_ready()
                eventually(lambda: service.ready()["cache"] and service.ready()["queued"] == 0)
                assert service.post("stored")[0] == 201
                assert service.labels() == ["stored", "queued"]
                with administration(config, endpoint) as session:
                    session.run("UPDATE detections SET label = 'changed'")
                assert service.labels() == ["stored", "queued"], "from the cache"
