"""The platform contract: what the platform stack tells the automation, through SSM Parameter Store."""

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from opskit import clients
from opskit.errors import PlatformContractError
from opskit.traffic import Colour

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True, slots=True)
class Platform:
    """What the automation knows of the platform. Each field but the first two is one parameter of that name.

    Parameters are of type String, under `/<service>/<environment>/platform/`. Lists are comma-separated in
    Parameter Store; `none` stands for an empty one, since Parameter Store takes no empty value.
    """

    service: str
    environment: str
    listener_arn: str
    load_balancer_arn: str
    target_group_blue_arn: str
    target_group_green_arn: str
    service_url: str
    test_header: str
    cluster_name: str
    cluster_arn: str
    cluster_operator_role_arn: str
    namespace: str
    image_repository: str
    image_repository_arn: str
    release_alarms: tuple[str, ...]
    function_subnet_ids: tuple[str, ...]
    function_security_group_id: str
    database_name: str
    database_key_arn: str
    cache_user: str
    cache_key_arn: str
    backup_bucket: str
    backup_key_arn: str
    cache_export_bucket: str
    terraform_state_bucket: str
    terraform_state_key: str
    drill_subnet_group: str
    drill_cache_subnet_group: str
    drill_security_group_id: str
    alarm_resources: tuple[str, ...]
    node_group: str

    @classmethod
    def load(cls, service: str, environment: str, client: "SSMClient | None" = None) -> Self:
        """Read all parameters (GetParametersByPath, every page).

        Raises PlatformContractError that names each parameter which is missing or malformed.
        """
        ssm: SSMClient = client or clients.client("ssm")
        path = path_of(service, environment)
        # Ten is the most that a page holds: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
        pages = ssm.get_paginator("get_parameters_by_path").paginate(
            # Without the slash at its end: AWS authorizes the path as it is sent.
            Path=path.rstrip("/"),
            Recursive=False,
            PaginationConfig={"PageSize": 10},
        )
        found = {
            parameter["Name"].removeprefix(path): parameter["Value"].strip()
            for page in pages
            for parameter in page["Parameters"]
        }
        return cls.parse(service, environment, found)

    @classmethod
    def parse(cls, service: str, environment: str, parameters: dict[str, str]) -> Self:
        """The contract from parameter names (without path) and values; raises like `load`."""
        path = path_of(service, environment)
        problems = [f"{path}{name} is missing" for name in PARAMETERS if not parameters.get(name)]
        problems += [
            f"{path}{name} must start with {prefix}, got {parameters[name]!r}"
            for name, prefix in _PREFIXES.items()
            if parameters.get(name) and not parameters[name].startswith(prefix)
        ]
        problems += [
            f"{path}alarm_resources must be items of <alarm>=<resource ARN>, got {item!r}"
            for item in _split(parameters.get("alarm_resources") or "none")
            if not _ALARM_RESOURCE.fullmatch(item)
        ]
        if problems:
            raise PlatformContractError(f"{'; '.join(problems)}. The platform stack writes these parameters")
        texts = {name: parameters[name] for name in PARAMETERS if name not in _LISTS}
        lists = {name: _split(parameters[name]) for name in _LISTS}
        return cls(service=service, environment=environment, **texts, **lists)  # type: ignore[arg-type]

    def target_group_arn(self, colour: Colour) -> str:
        """The target group of `colour`; the two are fixed and never swapped."""
        return self.target_group_blue_arn if colour is Colour.BLUE else self.target_group_green_arn

    def alarm_resource(self, alarm: str) -> str | None:
        """ARN of the resource that the alarm of that full name is about; None for an alarm that is not the platform's.

        A repair touches this resource and no other, whatever the alarm's event says.
        """
        return dict(item.split("=", 1) for item in self.alarm_resources).get(alarm)


PARAMETERS: tuple[str, ...] = tuple(
    field.name for field in fields(Platform) if field.name not in ("service", "environment")
)
_LISTS = ("release_alarms", "function_subnet_ids", "alarm_resources")
_ALARM_RESOURCE = re.compile(r"[^=\s]+=arn:\S+")
_PREFIXES = {name: "arn:" for name in PARAMETERS if name.endswith("_arn")} | {"service_url": "http"}


def path_of(service: str, environment: str) -> str:
    """Where the contract's parameters live, with a slash at the end."""
    return f"/{service}/{environment}/platform/"


def endpoint_parameter(service: str, environment: str, kind: str) -> str:
    """The parameter that says where the service's `kind`, `database` or `cache`, is now: `host:port`.

    The service reads it while it runs, so changing it is the cut-over. The platform creates it and then leaves it to
    restores.
    """
    return f"/{service}/{environment}/endpoints/{kind}"


# The authorities of the databases' certificates, an object in the backup bucket.
DATABASE_AUTHORITIES = "trust/database.pem"


def _split(text: str) -> tuple[str, ...]:
    if text.lower() == "none":
        return ()
    return tuple(item.strip() for item in text.split(",") if item.strip())
