"""Where an instance stands: subnet, security, parameter and option groups, which moto keeps; and AWS's defaults."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from sandbox.platform.errors import AwsError
from sandbox.postgres import binaries

DEFAULT = "default"
_SERVED_PARAMETERS = ("max_connections",)


def family() -> str:
    """The parameter group family of the engine's version, e.g. `postgres16`."""
    return f"postgres{binaries.version().partition('.')[0]}"


class Placement:
    """Looks into moto's state; `lock` guards that."""

    def __init__(self, account: str, region: str, lock: threading.RLock) -> None:
        self._rds = rds_backends[account][region]
        self._ec2 = ec2_backends[account][region]
        self._lock = lock

    def subnet_group(self, name: str | None) -> dict[str, Any] | None:
        """The API's `DBSubnetGroup`, or None if there is no such group."""
        with self._lock:
            if name in (None, DEFAULT) and DEFAULT not in self._rds.subnet_groups:
                return self._default_subnet_group()
            group = self._rds.subnet_groups.get(name or DEFAULT)
            if group is None:
                return None
            return {
                "DBSubnetGroupName": group.name,
                "DBSubnetGroupDescription": group.description,
                "DBSubnetGroupArn": group.arn,
                "VpcId": group.vpc_id,
                "SubnetGroupStatus": "Complete",
                "Subnets": group.subnets,
            }

    def _default_subnet_group(self) -> dict[str, Any] | None:
        # RDS makes it when it is first needed, of the default VPC's subnets.
        vpc = self._ec2.get_default_vpc()
        if vpc is None:
            return None
        return {
            "DBSubnetGroupName": DEFAULT,
            "DBSubnetGroupDescription": DEFAULT,
            "VpcId": vpc.id,
            "SubnetGroupStatus": "Complete",
            "Subnets": [
                {
                    "SubnetIdentifier": subnet.id,
                    "SubnetStatus": "Active",
                    "SubnetAvailabilityZone": {"Name": subnet.availability_zone},
                }
                for subnet in self._ec2.describe_subnets(filters={"vpc-id": [vpc.id]})
            ],
        }

    def check_subnet_group(self, name: str | None) -> Mapping[str, Any]:
        """The group; raises `AwsError` if there is none."""
        group = self.subnet_group(name)
        if group is None:
            raise AwsError("DBSubnetGroupNotFoundFault", f"DBSubnetGroup {name or DEFAULT} not found.", 404)
        return group

    def security_groups(self, ids: Sequence[str] | None, vpc_id: str) -> list[dict[str, str]]:
        """`VpcSecurityGroups` for a call that names `ids`; without any it is the VPC's default group."""
        with self._lock:
            if not ids:
                group = self._ec2.get_default_security_group(vpc_id)
                ids = [group.id] if group else []
            for one in ids:
                found = self._ec2.get_security_group_from_id(one)
                if found is None:
                    raise AwsError("InvalidParameterValue", f"Invalid security group , groupId= {one}, groupName=.")
                if found.vpc_id != vpc_id:
                    text = "The DB instance and EC2 security group are in different VPCs."
                    raise AwsError("InvalidParameterCombination", f"{text} The DB instance is in {vpc_id}")
        return [{"VpcSecurityGroupId": one, "Status": "active"} for one in ids]

    def parameter_group(self, name: str | None) -> list[dict[str, str]]:
        """`DBParameterGroups` for a call that names `name`; without it is the engine's default group."""
        chosen = (name or f"default.{family()}").lower()
        with self._lock:
            known = self._rds.db_parameter_groups.get(chosen)
        if known is None and not chosen.startswith("default."):
            raise AwsError("DBParameterGroupNotFound", f"DBParameterGroup not found: {chosen}", 404)
        if known is not None and known.family not in (None, family()):
            text = f"The parameter group {chosen} with DBParameterGroupFamily {known.family} can't be used for"
            raise AwsError("InvalidParameterCombination", f"{text} this instance, which needs {family()}")
        return [{"DBParameterGroupName": chosen, "ParameterApplyStatus": "in-sync"}]

    def parameters(self, name: str) -> Mapping[str, str]:
        """What a parameter group sets of that which the sandbox's servers have, as it stands in their configuration."""
        with self._lock:
            group = self._rds.db_parameter_groups.get(name)
            found = group.parameters if group is not None else {}
            return {key: found[key]["ParameterValue"] for key in _SERVED_PARAMETERS if key in found}

    def option_group(self, name: str | None) -> list[dict[str, str]]:
        """`OptionGroupMemberships` for a call that names `name`."""
        chosen = name or f"default:postgres-{binaries.version().partition('.')[0]}"
        with self._lock:
            if chosen not in self._rds.option_groups and not chosen.startswith("default:"):
                raise AwsError("OptionGroupNotFoundFault", f"Specified OptionGroupName: {chosen} not found.", 404)
        return [{"OptionGroupName": chosen, "Status": "in-sync"}]
