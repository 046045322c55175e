"""Which service, environment, account and endpoints a command works on, and the clients that reach them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from cli.endpoints import ENDPOINT_VARIABLES
from cli.exits import ExitCode, Failure
from cli.workflows import Workflow

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient

    from opskit.adapters.balancer import Balancer
    from opskit.adapters.objects import Objects
    from opskit.adapters.switch import Switch
    from opskit.decisions.runbook import Runbooks
    from opskit.evidence import Evidence
    from opskit.evidence_records import EvidenceRecords
    from opskit.ledger import Ledger
    from opskit.platform import Platform

DEFAULT_SERVICE = "detection-api"
DEFAULT_ENVIRONMENT = "dev"
DEFAULT_REGION = "us-east-1"
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
NOT_A_NAME = "is not a name: lower-case letters, digits and hyphens, at most 40"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The global options as given on the command line; None where nothing was given."""

    service: str | None = None
    environment: str | None = None
    profile: str | None = None
    region: str | None = None
    as_json: bool | None = None
    sandbox: bool | None = None

    def over(self, outer: "Choices | None") -> "Choices":
        """These choices, completed by those given before the subcommand."""
        if outer is None:
            return self
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Choices(**{n: getattr(outer, n) if v is None else v for n, v in values.items()})


class Session:
    """One command's view of AWS or of the sandbox. boto3 is imported when the first client is made."""

    def __init__(self, choices: Choices, variables: Mapping[str, str] | None = None) -> None:
        variables = os.environ if variables is None else variables
        self.choices = choices
        self._making = Lock()
        self._profile = choices.profile
        self._sandbox: dict[str, str] | None = None
        wanted = choices.sandbox
        if wanted is None:
            wanted = variables.get("OPS_SANDBOX", "") not in ("", "0", "false")
        if wanted:
            if choices.profile:
                raise Failure(ExitCode.USAGE, "UsageError", "--sandbox and --profile exclude each other")
            self._sandbox = _sandbox_environment()
            variables = {**variables, **self._sandbox}
        self._variables = variables
        self.service = choices.service or variables.get("OPS_SERVICE") or DEFAULT_SERVICE
        self.environment = choices.environment or variables.get("OPS_ENVIRONMENT") or DEFAULT_ENVIRONMENT
        for option, value in (("--service", self.service), ("--environment", self.environment)):
            if not NAME.fullmatch(value):
                raise Failure(ExitCode.USAGE, "UsageError", f"{option} {value!r} {NOT_A_NAME}")
        self._region = choices.region or (self._sandbox or {}).get("AWS_REGION")

    @property
    def name(self) -> str:
        """`<service>-<environment>`, with which every resource's name begins."""
        return f"{self.service}-{self.environment}"

    def machine_name(self, workflow: Workflow) -> str:
        """The name of a workflow's state machine."""
        return f"{self.name}-{workflow}"

    @property
    def table_name(self) -> str:
        """The ledger's name."""
        return f"{self.name}-ledger"

    @property
    def region(self) -> str:
        """The region in use: option, environment, profile, else us-east-1."""
        return self._boto.region_name or DEFAULT_REGION

    @property
    def is_local(self) -> bool:
        """Whether Step Functions is reached on loopback, as in the sandbox."""
        return (urlsplit(self.client("stepfunctions").meta.endpoint_url).hostname or "") in _LOCAL

    @cached_property
    def _boto(self) -> Any:
        import boto3  # noqa: PLC0415 - slow to import, and --help needs none

        if self._sandbox is not None:
            return boto3.Session(
                aws_access_key_id=self._sandbox["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self._sandbox["AWS_SECRET_ACCESS_KEY"],
                region_name=self._region,
            )
        region = self._region or self._variables.get("AWS_REGION")
        return boto3.Session(profile_name=self._profile, region_name=region)

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @overload
    def client(self, service: Literal["stepfunctions"]) -> "SFNClient": ...
    @overload
    def client(self, service: Literal["cloudwatch"]) -> "CloudWatchClient": ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> "DynamoDBClient": ...
    @overload
    def client(self, service: Literal["ssm"]) -> "SSMClient": ...
    @overload
    def client(self, service: Literal["elbv2"]) -> "ElasticLoadBalancingv2Client": ...
    @overload
    def client(self, service: Literal["sts"]) -> "STSClient": ...
    @overload
    def client(self, service: Literal["s3"]) -> "S3Client": ...
    @overload
    def client(
        self,
        service: Literal[
            "acm",
            "cloudformation",
            "cloudwatch",
            "eks",
            "elasticache",
            "iam",
            "lambda",
            "rds",
            "resourcegroupstaggingapi",
            "service-quotas",
            "sns",
        ],
    ) -> Any: ...
    def client(self, service: str) -> Any:
        """The client of `service`, made once; usable from several threads."""
        with self._making:  # making a client is not safe in threads, using one is
            if service not in self._clients:
                self._clients[service] = self._client(service)
            return self._clients[service]

    def _client(self, service: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415 - slow to import, and --help needs none

        endpoint = None
        if self._sandbox is not None:
            # Stated, so that a variable left over in the shell cannot send a sandbox command elsewhere.
            variable = ENDPOINT_VARIABLES[service]
            endpoint = self._sandbox.get(variable) or self._sandbox["AWS_ENDPOINT_URL"]
        return self._boto.client(
            service,
            region_name=self.region,
            endpoint_url=endpoint,
            config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4}),
        )

    @cached_property
    def caller(self) -> dict[str, str]:
        """`arn` and `account` of the credentials in use, from STS GetCallerIdentity."""
        identity = self.client("sts").get_caller_identity()
        return {"arn": identity["Arn"], "account": identity["Account"]}

    @property
    def evidence_bucket(self) -> str:
        """The bucket of the evidence chain, as the automation stack names it."""
        return f"{self.name}-evidence-{self.caller['account']}"

    def machine_arn(self, workflow: Workflow) -> str:
        """The ARN of a workflow's state machine."""
        partition = self.caller["arn"].split(":")[1]
        account = self.caller["account"]
        return f"arn:{partition}:states:{self.region}:{account}:stateMachine:{self.machine_name(workflow)}"

    def execution_arn(self, workflow: Workflow, name: str) -> str:
        """The ARN of the execution `name` of a workflow."""
        return f"{self.machine_arn(workflow).replace(':stateMachine:', ':execution:')}:{name}"

    @cached_property
    def ledger(self) -> "Ledger":
        """The environment's ledger."""
        from opskit.clock import SystemClock  # noqa: PLC0415
        from opskit.ledger import Ledger  # noqa: PLC0415

        return Ledger(
            self.table_name,
            self.service,
            self.environment,
            clock=SystemClock(),
            client=self.client("dynamodb"),
        )

    @cached_property
    def evidence(self) -> "Evidence":
        """The environment's evidence chain."""
        from opskit.clock import SystemClock  # noqa: PLC0415
        from opskit.evidence import Evidence  # noqa: PLC0415

        return Evidence(
            self.evidence_bucket,
            self.table_name,
            self.service,
            self.environment,
            SystemClock(),
            s3=self.client("s3"),
            dynamodb=self.client("dynamodb"),
        )

    @cached_property
    def evidence_records(self) -> "EvidenceRecords":
        """The single records of that chain."""
        from opskit.evidence_records import EvidenceRecords  # noqa: PLC0415

        return EvidenceRecords(
            self.evidence_bucket,
            self.table_name,
            self.service,
            self.environment,
            s3=self.client("s3"),
            dynamodb=self.client("dynamodb"),
        )

    @cached_property
    def backups(self) -> "Objects":
        """The objects of the platform's backup bucket."""
        from opskit.adapters.objects import Objects  # noqa: PLC0415

        return Objects(self.platform.backup_bucket, self.client("s3"))

    @cached_property
    def runbooks(self) -> "Runbooks":
        """The environment's runbooks, as this version of the automation has them; its times not yet multiplied."""
        from opskit.runbooks import load_runbooks  # noqa: PLC0415

        return load_runbooks(self.environment, 1.0)

    @cached_property
    def switch(self) -> "Switch":
        """The kill switch of the repairs."""
        from opskit.adapters.switch import Switch  # noqa: PLC0415

        return Switch(self.service, self.environment, client=self.client("ssm"))

    @cached_property
    def platform(self) -> "Platform":
        """The platform contract, read from Parameter Store."""
        from opskit.platform import Platform  # noqa: PLC0415

        return Platform.load(self.service, self.environment, client=self.client("ssm"))

    @cached_property
    def balancer(self) -> "Balancer":
        """The balancer in front of the service."""
        from opskit.adapters.balancer import Balancer  # noqa: PLC0415

        return Balancer(self.platform, client=self.client("elbv2"))


def _sandbox_environment() -> dict[str, str]:
    """The variables of the running sandbox; `Failure` where none was started."""
    from sandbox.config import Config, ConfigError, default_dir, environment  # noqa: PLC0415 - no part of AWS use

    try:
        return environment(Config.load(default_dir() / "config.json"))
    except ConfigError as error:
        raise Failure(ExitCode.UNREACHABLE, "SandboxNotRunning", str(error)) from error
