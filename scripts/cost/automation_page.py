"""docs/cost.md: the automation, and what drills and restores create."""

from collections.abc import Mapping

from scripts.cost.automation import Automation
from scripts.cost.prices import Line, Prices, after_free, total
from scripts.cost.tables import paragraph, row, rule, sums, usd
from tests.infrastructure.platform import Platform


def verdict(automations: Mapping[str, Automation], prices: Prices) -> str:
    """Whether the target is met."""
    target = float(prices.data["automation_target_usd"])
    most = max(total(automation.lines()) for automation in automations.values())
    free = max(after(automation, prices) for automation in automations.values())
    if most < target:
        return f"The automation stays below its target, {target:.2f}, at list prices: {usd(most)} at most."
    tail = "it holds only" if free < target else "nor"
    return (
        f"The automation's target, less than {target:.2f}, is **missed at list prices** ({usd(most)} at most); {tail}"
        f" after what every account has free ({usd(free)} at most)."
    )


def automation(automations: Mapping[str, Automation], prices: Prices) -> list[str]:
    """What the automation costs, and its largest parts."""
    names = list(automations)
    lines = {name: automation.lines() for name, automation in automations.items()}
    by_what = {name: sums(found) for name, found in lines.items()}
    keys = sorted(
        {key for found in by_what.values() for key in found},
        key=lambda key: -max(by_what[n].get(key, 0) for n in names),
    )
    largest = ", ".join(f"{service} ({what}) {usd(by_what['prod'][service, what])}" for service, what in keys[:4])
    small = [key for key in keys if max(by_what[n].get(key, 0) for n in names) < 0.005]
    rows = [row(f"{s}: {w}", [usd(by_what[n].get((s, w), 0)) for n in names]) for s, w in keys if (s, w) not in small]
    rest = [usd(sum(by_what[n].get(key, 0) for key in small)) for n in names]
    prod = automations["prod"]
    measured = prod.measured
    return [
        "## The automation",
        "",
        *paragraph(
            f"What template.yaml deploys, counted on {measured['measured_on']} where it ran: the states that each"
            " workflow entered, invocations and how long they took, requests to DynamoDB, S3, SNS, SSM and CloudWatch,"
            " bytes logged. Waits are reckoned with the template's defaults and how long AWS is assumed to take."
        ),
        "",
        row("a month", names),
        rule(names),
        *(row(f"{w}: executions", [f"{automations[n].runs[w]:,.0f}" for n in names]) for w in prod.runs),
        *(
            row(f"{w}: transitions of one", [f"{automations[n].transitions(w):.0f}" for n in names])
            for w in prod.runs
            if not prod.template.is_express(w)
        ),
        row("invocations of functions", [f"{sum(automations[n].invocations.values()):,.0f}" for n in names]),
        "",
        row("USD", names),
        rule(names),
        *rows,
        row(f"{len(small)} more", rest),
        row("**total**", [f"**{usd(total(lines[n]))}**" for n in names]),
        row("after what every account has free", [usd(after(automations[n], prices)) for n in names]),
        row("target", [f"< {prices.data['automation_target_usd']}"] * len(names)),
        "",
        *paragraph(
            f"Largest parts in production: {largest}. {verdict(automations, prices)} What is free is shared by all that"
            " is in an account, three environments and their alarms included, so it is no promise."
        ),
        "",
    ]


def copies(platforms: Mapping[str, Platform], automations: Mapping[str, Automation], prices: Prices) -> list[str]:
    """What drills and restores create for a while."""
    names = list(platforms)
    return [
        "## What drills and restores create",
        "",
        "Apart from the above: a database and a cache of the live ones' classes, without standby, for"
        f" {prices.assumption('copy_hours'):.0f} h each time.",
        "",
        row("", names),
        rule(names),
        *(
            row(
                workflow,
                [usd(automations[n].runs[workflow] * total(_copy(platforms[n], prices))) for n in names],
            )
            for workflow in ("drill", "restore")
        ),
        "",
    ]


def _copy(platform: Platform, prices: Prices) -> list[Line]:
    hours = prices.assumption("copy_hours")
    database, cache = platform["db_instance.main"], platform["elasticache_replication_group.main"]
    stored = float(database["allocated_storage"]) * hours / prices.hours
    return [
        prices.line("copies", "database", hours, f"rds.{database['instance_class']}"),
        prices.line("copies", "storage", stored, "rds.gp3"),
        prices.line("copies", "cache", hours, f"elasticache.{cache['node_type']}"),
    ]


def after(automation: Automation, prices: Prices) -> float:
    """A month, after what every account has free each month, were it there for the automation alone."""
    return after_free(automation.lines(), prices)
