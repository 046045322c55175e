"""A month of the automation, from what was counted where it ran (docs/cost/automation.json) and from its template."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scripts.cost.prices import FILE, Line, Prices
from scripts.cost.template import Function, Metric, Template

MEASURED = FILE.with_name("automation.json")
BYTES_PER_GB = 1e9


# Metrics that are published only where there is something to say → the assumption of how many hours a month that is.
RARE = {"DrillSurvivors": "survivor_hours"}


@dataclass(frozen=True)
class Automation:
    """The automation of an environment."""

    environment: str
    prices: Prices
    template: Template = field(default_factory=Template.load)
    measured: Mapping[str, Any] = field(default_factory=lambda: json.loads(MEASURED.read_text(encoding="utf-8")))

    def assumption(self, name: str) -> float:
        """What is assumed for this environment."""
        return self.prices.assumption(name, self.environment)

    @cached_property
    def runs(self) -> dict[str, float]:
        """Workflow → executions a month."""
        by_schedule = {name: calls for name, calls in self.template.calls.items() if name in self.template.workflows}
        wanted = {"release": "releases", "restore": "restores", "remediate": "remediations"}
        return {workflow: self.assumption(name) for workflow, name in wanted.items()} | by_schedule

    def visits(self, workflow: str) -> dict[str, float]:
        """State → how often an execution enters it, with waits as long as they are on AWS."""
        if self.template.is_express(workflow):
            return dict.fromkeys(self.template.tasks(workflow), 1.0)
        found = {name: float(number) for name, number in self.measured["workflows"][workflow]["states"].items()}
        for loop in self.prices.data["loops"]:
            if loop["workflow"] == workflow:
                every = float(self.template.parameter(loop["poll"]))
                more = math.ceil(loop["seconds"] / every) - found[loop["wait"]]
                for state in loop["states"]:
                    found[state] += more
        return found

    def transitions(self, workflow: str) -> float:
        """State transitions of an execution."""
        return sum(self.visits(workflow).values()) + self.assumption("transitions_beside_states")

    @cached_property
    def invocations(self) -> dict[str, float]:
        """Function, by its logical id → invocations a month."""
        found: Counter[str] = Counter()
        for workflow, runs in self.runs.items():
            visits = self.visits(workflow)
            for state, function in self.template.tasks(workflow).items():
                found[function.logical_id] += runs * visits.get(state, 0.0)  # type: ignore[assignment]
        for name, calls in self.template.calls.items():
            if name in self.template.functions:
                found[name] += calls  # type: ignore[assignment]
        return {name: number for name, number in found.items() if number}

    def cold_starts(self, function: Function) -> float:
        """Invocations a month that find no environment: one of each execution, unless they come often."""
        calls = self.invocations[function.logical_id]
        if calls >= self.assumption("kept_warm_calls"):
            return 0.0
        executions = sum(
            runs for workflow, runs in self.runs.items() if function in self.template.tasks(workflow).values()
        )
        return min(calls, executions or calls)

    def seconds(self, function: Function) -> float:
        """Billed seconds a month: cold starts as the slowest that was seen, others as the fastest.

        Slower ones among the others waited for a machine that also runs everything else.
        """
        measured = self.measured["functions"][function.name]["seconds"]
        slower = max(1.0, self.assumption("lambda_full_cpu_mb") / function.memory_mb)
        cold = self.cold_starts(function)
        warm = self.invocations[function.logical_id] - cold
        first = measured["most"] * slower + self.assumption("cold_start_seconds")
        return float(warm * measured["least"] * slower + cold * first)

    def requests(self, function: Function) -> dict[str, dict[str, float]]:
        """API request → what an invocation makes of it, as it was counted."""
        return dict(self.measured["functions"][function.name]["requests"])

    def per_month(self, what: str, *requests: str, vpc_only: bool = False) -> float:
        """The sum of a count over all invocations of a month; of requests whose name begins with one of these."""
        found = 0.0
        for name, calls in self.invocations.items():
            function = self.template.functions[name]
            for request, counted in self.requests(function).items():
                if request.startswith(requests or "") and (function.in_vpc or not vpc_only):
                    found += calls * counted.get(what, 0.0)
        return found

    def lines(self) -> list[Line]:
        """All lines."""
        return [*self._workflows(), *self._functions(), *self._stores(), *self._watching(), *self._telling()]

    def _workflows(self) -> Iterator[Line]:
        for workflow, runs in self.runs.items():
            if not self.template.is_express(workflow):
                passed = runs * self.transitions(workflow)
                yield self.prices.line("Step Functions", f"{workflow}: transitions", passed, "states.transition")
                continue
            functions = self.template.tasks(workflow).values()
            seconds = sum(self.seconds(f) / self.invocations[f.logical_id] for f in functions)
            memory = math.ceil(self.assumption("express_mb") / 64) * 64 / 1024
            yield self.prices.line("Step Functions", f"{workflow}: requests", runs, "states.express_request")
            hours = runs * memory * math.ceil(seconds * 10) / 10 / 3600
            yield self.prices.line("Step Functions", f"{workflow}: duration", hours, "states.express_duration")

    def _functions(self) -> Iterator[Line]:
        called = [self.template.functions[name] for name in self.invocations]
        yield self.prices.line("Lambda", "invocations", sum(self.invocations.values()), "lambda.request")
        duration = sum(self.seconds(f) * f.memory_mb / 1024 for f in called)
        yield self.prices.line("Lambda", "duration", duration, "lambda.duration")
        yield self.prices.line("Scheduler", "calls", sum(self.template.calls.values()), "scheduler.invocation")
        services = ("dynamodb:", "s3:")
        through = self.per_month("count", vpc_only=True) - self.per_month("count", *services, vpc_only=True)
        yield self.prices.line("NAT", "data", through * self.assumption("tls_kb") / 1e6, "nat.data")

    def _stores(self) -> Iterator[Line]:
        yield self.prices.line("DynamoDB", "writes", self.per_month("write_units", "dynamodb:"), "dynamodb.write")
        yield self.prices.line("DynamoDB", "reads", self.per_month("read_units", "dynamodb:"), "dynamodb.read")
        yield self.prices.line("DynamoDB", "storage", self.assumption("ledger_gb"), "dynamodb.storage")
        yield self.prices.line("DynamoDB", "recovery", self.assumption("ledger_gb"), "dynamodb.recovery")
        writes = self.per_month("count", "s3:PUT", "s3:POST", "s3:COPY", "s3:LIST")
        everything = self.per_month("count", "s3:")
        yield self.prices.line("S3", "writes and lists", writes, "s3.write")
        yield self.prices.line("S3", "reads", everything - writes, "s3.read")
        kept = self.per_month("sent_bytes", "s3:PUT") * self.assumption("kept_months") / BYTES_PER_GB
        yield self.prices.line("S3", "storage", kept, "s3.storage")
        yield self.prices.line("KMS", "calls", everything * self.assumption("kms_share"), "kms.request")
        yield self.prices.line("CloudTrail", "data events", everything, "cloudtrail.data_event")

    def _watching(self) -> Iterator[Line]:
        hours = sum(self._hours(metric) for metric in self.template.metrics())
        months = hours / self.prices.hours
        yield self.prices.line("CloudWatch", "metrics of its own", months, "cloudwatch.metric")
        yield self.prices.line("CloudWatch", "alarms", self.template.alarmed_metrics, "cloudwatch.alarm")
        read = self.per_month("count", "monitoring:GetMetricData") * self.assumption("metrics_per_query")
        yield self.prices.line("CloudWatch", "metrics read", read, "cloudwatch.queried")
        asked = self.per_month("count", "monitoring:DescribeAlarms")
        yield self.prices.line("CloudWatch", "alarms read", asked, "cloudwatch.request")
        written = sum(
            calls * (self.measured["functions"][f.name]["log_bytes"] + self.assumption("platform_log_bytes"))
            for f, calls in ((self.template.functions[name], calls) for name, calls in self.invocations.items())
        )
        yield self.prices.line("CloudWatch", "logs, written", written / BYTES_PER_GB, "logs.ingested")
        days = float(self.template.parameter("LogRetentionDays"))
        kept = written / BYTES_PER_GB * days * 24 / self.prices.hours
        yield self.prices.line("CloudWatch", "logs, kept", kept, "logs.stored")
        # All steps of an execution are one trace; what a schedule calls is a trace of its own.
        called = {name: n for name, n in self.template.calls.items() if name in self.template.functions}
        traced = sum(calls for name, calls in called.items() if self.template.functions[name].traced)
        yield self.prices.line("X-Ray", "traces", traced + sum(self.runs.values()), "xray.trace")

    def _hours(self, metric: Metric) -> float:
        """Hours of a month in which a metric gets values: those are paid for."""
        often = self.assumption(RARE[metric.name]) if metric.name in RARE else self.prices.hours
        return min(often, self.invocations[metric.function.logical_id])

    def _telling(self) -> Iterator[Line]:
        told = self.per_month("count", "sns:Publish")
        yield self.prices.line("SNS", "notifications", told, "sns.publish")
        yield self.prices.line("SNS", "e-mail", told * self.assumption("mails"), "sns.email")
