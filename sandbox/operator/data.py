"""The data: the live database and cache, and the objects in the buckets."""

from collections.abc import Callable
from typing import Any

import redis

from opskit.platform import endpoint_parameter
from sandbox.operator.hands import Hands
from sandbox.postgres.server import Server
from sandbox.provision.database import DATABASE


class Data(Hands):
    """Live is what the endpoint parameters say, as for everybody else."""

    def endpoint(self, kind: str) -> str:
        """Where the live `database` or `cache` is, `host:port`."""
        name = endpoint_parameter(self.config.service, self.config.environment, kind)
        return str(self.clients["ssm"].get_parameter(Name=name)["Parameter"]["Value"])

    @property
    def endpoints(self) -> dict[str, str]:
        """Where both are."""
        return {kind: self.endpoint(kind) for kind in ("database", "cache")}

    def database(self, identifier: str | None = None) -> dict[str, Any]:
        """The description of a DB instance, by default of the live one; raises LookupError if there is none."""
        wanted = None if identifier else self.endpoint("database")
        for found in self.clients["rds"].describe_db_instances()["DBInstances"]:
            endpoint = found.get("Endpoint", {})
            at = f"{endpoint.get('Address')}:{endpoint.get('Port')}"
            if identifier == found["DBInstanceIdentifier"] or wanted == at:
                return dict(found)
        raise LookupError(f"no DB instance {identifier or wanted}")

    def sql(self, statement: str, *, instance: str | None = None, **parameters: Any) -> list[list[Any]]:
        """Run a statement as superuser in the service's database of an instance, by default the live one; its rows.

        Past the endpoint, by the server's own socket: it works in every status in which the server runs, and whatever
        became of passwords.
        """
        with self.server(instance).connection(DATABASE) as session:
            return list(session.run(statement, **parameters) or [])

    def server(self, instance: str | None = None) -> Server:
        """The server of an instance, by default of the live one, for connections as superuser; not to be stopped."""
        resource = self.database(instance)["DbiResourceId"]
        return Server(self.config.dir / "engines" / "rds" / "instances" / resource)

    def cache(self, group: str | None = None) -> "redis.Redis":
        """A client of a replication group's primary, by default of the live one."""
        if group is None:
            host, _, port = self.endpoint("cache").rpartition(":")
        else:
            found = self.clients["elasticache"].describe_replication_groups(ReplicationGroupId=group)
            endpoint = found["ReplicationGroups"][0]["NodeGroups"][0]["PrimaryEndpoint"]
            host, port = endpoint["Address"], str(endpoint["Port"])
        return redis.Redis(host=host, port=int(port), socket_timeout=5)

    def keys(self, prefix: str = "", bucket: str | None = None) -> list[str]:
        """The keys of a bucket's objects, by default the backup bucket's, in order."""
        pages = self.clients["s3"].get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=bucket or self.platform.backup_bucket, Prefix=prefix)
        return [found["Key"] for page in listed for found in page.get("Contents", [])]

    def read(self, key: str, bucket: str | None = None) -> bytes:
        """An object, by default of the backup bucket."""
        answer = self.clients["s3"].get_object(Bucket=bucket or self.platform.backup_bucket, Key=key)
        return bytes(answer["Body"].read())

    def write(self, key: str, body: bytes, bucket: str | None = None, **metadata: str) -> None:
        """Write an object, past the workflows, with metadata."""
        self.clients["s3"].put_object(
            Bucket=bucket or self.platform.backup_bucket, Key=key, Body=body, Metadata=metadata
        )

    def tamper(self, key: str, change: Callable[[bytes], bytes], bucket: str | None = None) -> None:
        """Change an object behind everybody's back; its metadata stay as they are."""
        before = self.clients["s3"].head_object(Bucket=bucket or self.platform.backup_bucket, Key=key)
        self.write(key, change(self.read(key, bucket)), bucket, **before["Metadata"])

    def remove(self, key: str, bucket: str | None = None) -> None:
        """Delete an object; its versions stay."""
        self.clients["s3"].delete_object(Bucket=bucket or self.platform.backup_bucket, Key=key)
