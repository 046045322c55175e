"""The one decorator on every step: what a handler gets, what is logged, and what may come out."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property, wraps
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

# Every step needs boto3 in the end. Imported here it is loaded before the first call, while Lambda gives a new
# function a full processor whatever its memory.
import boto3  # noqa: F401
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from opskit.clock import Clock, SystemClock, moment_of
from opskit.errors import InvalidInputError, OpsError
from opskit.evidence import Evidence
from opskit.failures import named_failure
from opskit.ledger import Ledger, Lock, OperationRecord, ReleaseRecord
from opskit.platform import Platform
from opskit.result import checked
from opskit.settings import Settings
from opskit.traffic import Weights

if TYPE_CHECKING:
    from aws_lambda_powertools.tracing import Tracer

NAMESPACE = "DetectionOps"
PLATFORM_KEPT = timedelta(seconds=60)

Handler = Callable[[dict[str, Any], "Run"], dict[str, Any]]


class LambdaContext(Protocol):
    """What is used of the context object that Lambda passes."""

    aws_request_id: str
    invoked_function_arn: str


class LambdaHandler(Protocol):
    """What Lambda calls; the undecorated handler is its `__wrapped__`."""

    __wrapped__: Handler

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Run the step."""
        ...


@dataclass(frozen=True, slots=True)
class Execution:
    """The execution that a step belongs to: its ARN, its name, and when it started."""

    id: str
    name: str
    started_at: datetime

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Execution":
        """From `event["execution"]`, which holds `id`, `name`, `start_time` of the state machine's context.

        Raises InvalidInputError if that is missing or malformed.
        """
        try:
            given = event["execution"]
            return cls(given["id"], given["name"], moment_of(given["start_time"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                "the step's input must have `execution` with `id`, `name` and `start_time` from "
                f"$states.context.Execution: {type(error).__name__}: {error}"
            ) from error

    @property
    def state_machine(self) -> str | None:
        """The name of the state machine, where `id` is an execution's ARN."""
        parts = self.id.split(":")
        return parts[6] if len(parts) > 7 and parts[2] == "states" else None


@dataclass(frozen=True)
class Run:
    """What a handler works with besides its event."""

    settings: Settings
    execution: Execution
    load_platform: Callable[[], Platform]
    clock: Clock = field(default_factory=SystemClock)
    workflow: str = "unknown"
    step: str = "unknown"
    operation: str = "unknown"
    logger: Logger = field(default_factory=lambda: Logger(service="opskit"))
    metrics: Metrics = field(default_factory=lambda: Metrics(namespace=NAMESPACE, service="opskit"))

    @property
    def platform(self) -> Platform:
        """The platform contract; read when first asked for, then kept for up to 60 s. See `Platform.load`."""
        return self.load_platform()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the settings' service and environment."""
        here = self.settings
        return Ledger(here.ledger_table, here.service, here.environment, clock=self.clock)

    @cached_property
    def evidence(self) -> Evidence:
        """The evidence chain of the settings' service and environment."""
        here = self.settings
        return Evidence(here.evidence_bucket, here.ledger_table, here.service, here.environment, self.clock)

    @property
    def operation_key(self) -> str:
        """The key of this execution's record in the ledger, of every workflow but the release."""
        return OperationRecord.key_of(self.workflow, self.execution.started_at, self.execution.name)

    @property
    def record_key(self) -> str:
        """The key of this release's record in the ledger."""
        return ReleaseRecord.key_of(self.execution.started_at, self.execution.name)

    def hold(self, event: Mapping[str, Any], lease_seconds: int | None = None) -> Lock:
        """Confirm that the execution still has the lock of `event["lock"]` and renew its lease; return the lock.

        The lease is `event["settings"]["lease_seconds"]` unless given. Every step calls this before it changes
        anything. Raises LockLostError.
        """
        lock = Lock.from_dict(event["lock"])
        self.ledger.hold(lock, lease_seconds or event["settings"]["lease_seconds"])
        return lock

    def intend(
        self, event: Mapping[str, Any], what: str, facts: dict[str, Any], *, weights: Weights | None = None
    ) -> None:
        """Put on record what is about to be changed, in one write with the check of the lock.

        After the lock has been seized nothing can be announced any more; so whoever seizes it finds in the record
        whatever may still be under way. Raises LockLostError.
        """
        self.ledger.intend(Lock.from_dict(event["lock"]), self.record_key, what, facts, weights=weights)


@overload
def step(handler: Handler) -> LambdaHandler: ...
@overload
def step(*, standalone: bool) -> Callable[[Handler], LambdaHandler]: ...
def step(
    handler: Handler | None = None, *, standalone: bool = False
) -> LambdaHandler | Callable[[Handler], LambdaHandler]:
    """Make `handler(event, run)` a Lambda handler.

    The event must carry `execution`, unless `standalone`: a function that an event or a schedule invokes is its
    own execution. The result must be a dict that JSON can carry and Step Functions will take. Whatever the
    handler raises goes through, so that the state machine sees its class, and is logged once; only AWS's passing
    failures become ThrottledError or UnavailableError.
    """
    if handler is None:
        return lambda wrapped: _decorate(wrapped, standalone)
    return _decorate(handler, standalone)


def _decorate(handler: Handler, standalone: bool) -> LambdaHandler:
    name = handler.__module__.rpartition(".")[2]

    @wraps(handler)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        settings = _settings()
        with _observed(settings, name, context.aws_request_id) as (logger, metrics):
            alone = context if standalone else None
            run = _run(name, event, alone, settings=settings, logger=logger, metrics=metrics)

            def call(event: dict[str, Any], _: Any) -> dict[str, Any]:
                started = run.clock.now()
                result = checked(name, handler(event, run))
                logger.info("finished", extra={"seconds": (run.clock.now() - started).total_seconds()})
                return result

            if _traced():
                call.__name__ = name
                tracer = _tracer(settings.service)
                traced = tracer.capture_lambda_handler(call, capture_response=False)
                return cast("dict[str, Any]", traced(event, context))
            return call(event, context)

    return lambda_handler


def _run(
    name: str,
    event: Any,
    standalone: LambdaContext | None,
    *,
    settings: Settings,
    logger: Logger,
    metrics: Metrics,
) -> Run:
    if not isinstance(event, dict):
        raise InvalidInputError(f"{name} takes an object, got {type(event).__name__}")
    clock = SystemClock()
    execution = (
        Execution(standalone.invoked_function_arn, standalone.aws_request_id, clock.now())
        if standalone
        else Execution.from_event(event)
    )
    prefix = f"{settings.service}-{settings.environment}-"
    workflow = (execution.state_machine or name).removeprefix(prefix)
    operation = str(event.get("operation") or workflow)
    logger.append_keys(execution_id=execution.id, execution_name=execution.name, workflow=workflow, operation=operation)
    if metrics.default_dimensions.get("workflow") != workflow:  # setting them again would warn, on every call
        metrics.set_default_dimensions(environment=settings.environment, workflow=workflow)
    return Run(
        settings=settings,
        execution=execution,
        load_platform=lambda: _platforms.get(settings, clock),
        clock=clock,
        workflow=workflow,
        step=name,
        operation=operation,
        logger=logger,
        metrics=metrics,
    )


@contextmanager
def _observed(settings: Settings, name: str, request_id: str) -> Iterator[tuple[Logger, Metrics]]:
    """The logger and the metrics for one call; logs what is raised, and publishes the metrics in any case."""
    logger, metrics = _logger(settings.service), _metrics(settings.service)
    logger.structure_logs(step=name, environment=settings.environment, function_request_id=request_id)
    try:
        yield logger, metrics
    except OpsError as error:
        # Named and explained: the trace would say nothing that the message does not.
        logger.error(str(error), extra={"error": type(error).__name__})
        raise
    except Exception as error:
        named = named_failure(error)
        logger.exception(str(error), extra={"error": type(named).__name__})
        if named is error:
            raise
        raise named from error
    finally:
        if metrics.metric_set:
            metrics.flush_metrics()


class _Platforms:
    """The platform contract, read at most once a minute by a process."""

    def __init__(self) -> None:
        self._known: tuple[Settings, Platform, datetime] | None = None

    def get(self, settings: Settings, clock: Clock) -> Platform:
        now = clock.now()
        if self._known and self._known[0] == settings and now - self._known[2] < PLATFORM_KEPT:
            return self._known[1]
        platform = Platform.load(settings.service, settings.environment)
        self._known = (settings, platform, now)
        return platform


_platforms = _Platforms()


@cache
def _settings() -> Settings:
    return Settings.from_env()


@cache
def _logger(service: str) -> Logger:
    return Logger(service=service, use_rfc3339=True, utc=True)


@cache
def _metrics(service: str) -> Metrics:
    return Metrics(namespace=NAMESPACE, service=service)


def _traced() -> bool:
    """Whether this call is one of those that X-Ray samples; the others need not load its SDK."""
    return bool(
        os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        and not os.environ.get("POWERTOOLS_TRACE_DISABLED")
        and "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")
    )


@cache
def _tracer(service: str) -> "Tracer":
    from aws_lambda_powertools.tracing import Tracer  # noqa: PLC0415 - see _traced

    return Tracer(service=service, patch_modules=["botocore"])
