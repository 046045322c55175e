"""docs/cost.md is what `make cost` would write, everything in it has a price or a reason, and what it says holds."""

import copy
import re

import pytest

from opskit.adapters import metrics
from scripts.cost import automation_page
from scripts.cost.automation import RARE, Automation
from scripts.cost.page import text
from scripts.cost.platform import PRICED, lines_of
from scripts.cost.prices import Line, Prices, after_free, total
from scripts.cost.template import Template, states_of, times_a_month
from scripts.document_platform import DOCS
from tests.infrastructure.terraform import ENVIRONMENTS

# Of template.yaml: what `Automation.lines` reckons with.
PRICED_IN_TEMPLATE = {
    "AWS::CloudWatch::Alarm",
    "AWS::DynamoDB::Table",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::Scheduler::Schedule",
    "AWS::Serverless::Function",
    "AWS::Serverless::StateMachine",
}


@pytest.fixture
def prices():
    return Prices.load()


@pytest.fixture(params=ENVIRONMENTS)
def automation(request, prices):
    return Automation(request.param, prices)


@pytest.fixture
def planned_kinds(platform_of):
    return {resource.kind for name in ENVIRONMENTS for resource in platform_of(name).resources.values()}


def of(lines, service):
    return total([line for line in lines if line.service == service])


class TestPage:
    def test_it_is_current_and_uses_every_price_and_assumption(self, platform_of, prices):
        written = text({name: platform_of(name) for name in ENVIRONMENTS}, prices)
        assert (DOCS / "cost.md").read_text() == written, "run make cost"
        assert prices.used == set(prices.names)
        assert prices.assumed | {"log_gb"} == set(prices.data["assumptions"])

    def test_what_it_says_of_the_specification_holds(self, platform_of, prices):
        for name in ENVIRONMENTS:
            lines = lines_of(platform_of(name), prices)
            stated = prices.data["specification"][name]["usd"]
            instances = [x for x in lines if x.price.startswith(("ec2.t", "rds.db.", "elasticache.cache."))]
            assert total(instances) > stated
            assert total(lines) - 0.3 * total(instances) > stated
            if name != "prod":
                fixed = [x for x in lines if x.service == "EKS" or x.price in ("nat.gateway", "vpc.public_ipv4")]
                assert total(fixed) > stated

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_the_automation_stays_below_what_it_may_cost_at_list_prices(self, prices, environment):
        assert total(Automation(environment, prices).lines()) < prices.data["automation_target_usd"] == 3


class TestCoverage:
    def test_each_planned_type_has_a_price_or_is_free_for_a_reason(self, planned_kinds, prices):
        free = {kind for kind in prices.data["free"] if kind.startswith("aws_")}
        assert planned_kinds == set(PRICED) | free
        assert not set(PRICED) & free
        assert all(len(reason) >= 4 for reason in prices.data["free"].values())

    def test_each_type_of_the_template_has_a_price_or_is_free_for_a_reason(self, prices):
        free = {kind for kind in prices.data["free"] if kind.startswith("AWS::")}
        assert Template.load().kinds == PRICED_IN_TEMPLATE | free
        assert not PRICED_IN_TEMPLATE & free

    def test_a_type_without_either_is_refused(self, prod, prices):
        data = copy.deepcopy(dict(prices.data))
        del data["free"]["aws_subnet"]
        with pytest.raises(KeyError, match="aws_subnet"):
            lines_of(prod, Prices(data))

    def test_each_price_has_a_source_that_can_be_looked_up_or_says_that_it_has_none(self, prices):
        for name in prices.names:
            source = prices.data["sources"][prices.data["prices"][name]["source"]]
            assert source["grade"] in ("aws", "list", "other", "memory"), name
            assert source["date"], name
            assert ("url" in source) == (source["grade"] != "memory"), name
            assert prices[name].usd > 0, name


class TestPlatform:
    def test_what_production_pays_for_its_database(self, prod, prices):
        """Instance and standby at the hourly price of each, a replica, three times the storage."""
        lines = {line.what: line for line in lines_of(prod, prices) if line.service == "Database (RDS)"}
        assert lines["instance and standby"].usd == pytest.approx(2 * 730 * 0.129)
        assert lines["replica"].usd == pytest.approx(730 * 0.129)
        storage = [line.usd for line in lines_of(prod, prices) if line.what == "storage" and line.price == "rds.gp3"]
        assert sum(storage) == pytest.approx(3 * 500 * 0.115)

    def test_gateways_are_paid_for_each(self, dev, prod, prices):
        one, three = (
            [line for line in lines_of(platform, prices) if line.price == "nat.gateway"] for platform in (dev, prod)
        )
        assert total(one) == pytest.approx(32.85)
        assert total(three) == pytest.approx(3 * 32.85)

    def test_an_alarm_over_three_nodes_is_three(self, prod, prices):
        alarms = sum(line.quantity for line in lines_of(prod, prices) if line.price == "cloudwatch.alarm")
        assert alarms == 9 + 2 * 3

    def test_every_log_group_is_of_a_kind_that_is_assumed(self, platform, prices):
        for group in platform.of("cloudwatch_log_group"):
            assert prices.log_gb(group["name"], platform.environment) > 0


class TestAutomation:
    def test_what_was_measured_is_what_there_is(self, automation):
        """A state or function that was renamed or added makes the measurement old."""
        measured, template = automation.measured, automation.template
        for workflow, counted in measured["workflows"].items():
            assert set(counted["states"]) <= set(states_of(workflow))
        assert set(measured["functions"]) <= {function.name for function in template.functions.values()}
        assert {workflow for workflow in template.workflows if not template.is_express(workflow)} == set(
            measured["workflows"]
        )
        for name in automation.invocations:
            assert template.functions[name].name in measured["functions"], "run make measure-automation"

    def test_each_loop_is_a_loop(self, prices):
        for loop in prices.data["loops"]:
            states = states_of(loop["workflow"])
            assert states[loop["wait"]]["Type"] == "Wait"
            assert loop["wait"] == loop["states"][0]
            for state, following in zip(loop["states"], loop["states"][1:] + loop["states"][:1], strict=True):
                ways = {states[state].get("Next"), states[state].get("Default")}
                ways |= {choice["Next"] for choice in states[state].get("Choices", ())}
                assert following in ways, f"{state} does not lead to {following}"

    def test_schedules_are_what_the_template_has(self, automation):
        assert automation.template.calls == pytest.approx(
            {
                "snapshot": 730,
                "objectives": 8760,
                "drill": 52 / 12,
                "StampHeartbeat": 43800,
                "RepairInterrupted": 8760,
                "RepairInterruptedRestore": 8760,
                "ReapSurvivors": 730,
                "SettleInterruptedRemediation": 2920,
            },
            rel=0.01,
        )

    @pytest.mark.parametrize(
        ("expression", "times"),
        [
            ("rate(1 minute)", 43800),
            ("rate(2 hours)", 365),
            ("cron(0 * * * ? *)", 730),
            ("cron(30 3 ? * SUN *)", 52 / 12),
        ],
    )
    def test_how_often_an_expression_comes(self, expression, times):
        assert times_a_month(expression) == pytest.approx(times, rel=0.002)

    def test_looking_more_often_costs_more_transitions(self, automation, prices):
        """300 s, a look every 60 or every 20: ten looks of three states more, for each of 730 runs."""
        data = copy.deepcopy(dict(automation.template.data))
        data["Parameters"]["SnapshotPollSeconds"]["Default"] = 20
        oftener = Automation(automation.environment, prices, Template(data))
        assert oftener.transitions("snapshot") - automation.transitions("snapshot") == pytest.approx(10 * 3)
        more = of(oftener.lines(), "Step Functions") - of(automation.lines(), "Step Functions")
        assert more == pytest.approx(730 * 30 * 0.000025, rel=0.001)

    def test_tracing_what_a_schedule_calls_is_a_trace_for_each_call(self, automation, prices):
        data = copy.deepcopy(dict(automation.template.data))
        data["Resources"]["StampHeartbeat"]["Properties"]["Tracing"] = "Active"
        traced = Automation(automation.environment, prices, Template(data))
        more = of(traced.lines(), "X-Ray") - of(automation.lines(), "X-Ray")
        assert more == pytest.approx(43800 * 0.000005)

    def test_what_is_called_by_the_minute_or_every_few_is_not_traced(self, automation):
        functions, calls = automation.template.functions, automation.template.calls
        often = {name for name, number in calls.items() if name in functions and number > 730}
        assert often == {
            "StampHeartbeat",
            "RepairInterrupted",
            "RepairInterruptedRestore",
            "SettleInterruptedRemediation",
        }
        assert not {name for name in often if functions[name].traced}

    def test_the_metrics_are_those_that_are_published(self, automation):
        published = {metric.name: metric.conditional for metric in automation.template.metrics()}
        assert set(published) == {"DrillPassed", "DrillSurvivors", "ObjectivesMet", "SnapshotComplete"}
        assert all(published[name] for name in RARE)

    def test_what_is_published_every_hour_is_read_by_an_alarm(self, automation):
        """And the alarm on what is published only where there is something to say takes silence for well."""
        alarms = Template.load().resources("AWS::CloudWatch::Alarm").values()
        silence = {alarm["MetricName"]: alarm["TreatMissingData"] for alarm in alarms}
        for metric in automation.template.metrics():
            if metric.name in RARE:
                assert silence[metric.name] == "notBreaching"
            elif automation.invocations[metric.function.logical_id] >= 700:
                assert metric.name in silence

    def test_a_metric_is_paid_for_by_the_hour_in_which_it_is_published(self, automation, prices):
        """Two all the time, one in 8 hours, one with each drill."""
        (line,) = [line for line in automation.lines() if line.what == "metrics of its own"]
        assert line.quantity == pytest.approx(2 + (8 + 52 / 12) / 730, rel=0.001)
        assert line.usd == pytest.approx(line.quantity * 0.30)

    def test_a_query_reads_as_many_metrics_as_the_bake_asks_for(self, prices):
        assert prices.assumption("metrics_per_query") == len([*metrics._COUNTS, metrics._LATENCY])

    def test_half_of_the_remediations_act(self, automation):
        """Of the two that were measured one does; the other ends before."""
        visits = automation.visits("remediate")
        assert (visits["AdmitAlarm"], visits["ScaleNodeGroup"]) == (1, 0.5)
        assert visits["WaitForAlarm"] == 300 / 15

    def test_the_page_says_whether_the_target_is_met(self, automation, prices):
        said = automation_page.verdict({automation.environment: automation}, prices)
        target = prices.data["automation_target_usd"]
        assert ("missed" in said) == (total(automation.lines()) >= target)
        assert ("holds only" in said) == (
            total(automation.lines()) >= target > automation_page.after(automation, prices)
        )


def test_what_is_free_is_taken_off_once_for_all_lines_together(prices):
    lines = [Line("a", "x", 3000, "states.transition", 0.075), Line("a", "y", 3000, "states.transition", 0.075)]
    assert after_free(lines, prices) == pytest.approx(2000 * 0.000025)


def test_the_measurement_is_dated(prices):
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", Automation("dev", prices).measured["measured_on"])
