"""docs/cost.md: the summary, the platform by service, and why it differs from the specification."""

from collections.abc import Mapping, Sequence

from scripts.cost import automation_page, sources_page
from scripts.cost.automation import Automation
from scripts.cost.platform import lines_of
from scripts.cost.prices import Line, Prices, total
from scripts.cost.tables import paragraph, row, rule, sums, usd
from tests.infrastructure.platform import Platform


def _named(line: Line) -> bool:
    return line.price.startswith(("ec2.t", "rds.db.", "elasticache.cache."))


# What the specification's table names, as lines of ours; the rest of the rows add up to everything.
_NAMED = (
    ("nodes, database and cache instances, which the table names", _named),
    ("the database's standby", lambda x: x.what == "instance and standby"),
    ("storage of nodes and database", lambda x: x.price in ("ebs.gp3", "rds.gp3")),
    ("EKS control plane", lambda x: x.service == "EKS"),
    ("NAT gateways with their addresses", lambda x: x.service == "NAT gateways" and x.what != "data"),
    ("load balancer with its addresses", lambda x: x.service == "Load balancer"),
    ("CloudWatch: logs, metrics, alarms", lambda x: x.service == "CloudWatch"),
)


def text(platforms: Mapping[str, Platform], prices: Prices) -> str:
    """The page."""
    lines = {name: lines_of(platform, prices) for name, platform in platforms.items()}
    automations = {name: Automation(name, prices) for name in platforms}
    parts = [
        *_summary(lines, automations, prices),
        *_services(lines, prices),
        *_differences(lines, prices),
        *automation_page.automation(automations, prices),
        *automation_page.copies(platforms, automations, prices),
        *sources_page.assumptions(platforms, automations, prices),
        *sources_page.price_list(prices),
        *sources_page.free(platforms, automations, prices),
    ]
    return "\n".join(parts) + "\n"


def _summary(lines: Mapping[str, Sequence[Line]], automations: Mapping[str, Automation], prices: Prices) -> list[str]:
    names = list(lines)
    return [
        "# Cost",
        "",
        *paragraph(
            "Written by `make cost` from a plan of each environment, from the prices and assumptions in"
            " [prices.yaml](cost/prices.yaml), and from what the workflows were counted to do"
            " ([automation.json](cost/automation.json), `make measure-automation`). USD a month, at list prices of"
            f" {prices.data['region']}, on demand, without taxes, support, and what is free for new accounts."
        ),
        "",
        row("", names),
        rule(names),
        row("platform", [usd(total(lines[name]), 0) for name in names]),
        row("the specification's figure (9.2)", [f"~{prices.data['specification'][name]['usd']}" for name in names]),
        row("automation", [usd(total(automations[name].lines())) for name in names]),
        row(
            "automation, after what every account has free",
            [usd(automation_page.after(automations[name], prices)) for name in names],
        ),
        "",
        *paragraph(
            f"{automation_page.verdict(automations, prices)} No figure here comes from a bill: the platform has never"
            " run on AWS. Prices were looked up in stored copies of public pages, never on AWS's live pages;"
            " [which are unverified](#prices) is said with each."
        ),
        "",
    ]


def _services(lines: Mapping[str, Sequence[Line]], prices: Prices) -> list[str]:
    names = list(lines)
    rows: list[str] = []
    by_what = {name: sums(found) for name, found in lines.items()}
    services = sorted({s for found in by_what.values() for s, _ in found}, key=lambda s: -_of_service(lines["prod"], s))
    for service in services:
        rows.append(row(f"**{service}**", [f"**{usd(_of_service(lines[name], service))}**" for name in names]))
        whats = sorted(
            {what for found in by_what.values() for s, what in found if s == service},
            key=lambda what: -by_what["prod"].get((service, what), 0.0),
        )
        if len(whats) > 1:
            rows += [row(what, [usd(by_what[name].get((service, what), 0.0)) for name in names]) for what in whats]
    return [
        "## The platform, by service",
        "",
        row("", names),
        rule(names),
        *rows,
        row("**total**", [f"**{usd(total(lines[name]))}**" for name in names]),
        row(
            "the specification's figure",
            [f"~{prices.data['specification'][name]['usd']}" for name in names],
        ),
        "",
    ]


def _differences(lines: Mapping[str, Sequence[Line]], prices: Prices) -> list[str]:
    names = list(lines)
    rows = []
    for what, belongs in _NAMED:
        rows.append(row(what, [usd(sum(_part(x, what) for x in lines[name] if belongs(x))) for name in names]))
    shown = {name: sum(_part(x, what) for what, belongs in _NAMED for x in lines[name] if belongs(x)) for name in names}
    rows.append(row("everything else", [usd(total(lines[name]) - shown[name]) for name in names]))
    fixed = {
        name: sum(x.usd for x in lines[name] if x.service == "EKS" or x.price in ("nat.gateway", "vpc.public_ipv4"))
        for name in names
    }
    return [
        "## Why it is more than the specification says",
        "",
        "Section 9.2 names instances and gives one figure for each environment, without saying what is in it.",
        "",
        row("", names),
        rule(names),
        *rows,
        row("**total**", [f"**{usd(total(lines[name]))}**" for name in names]),
        row("the specification's figure", [f"~{prices.data['specification'][name]['usd']}" for name in names]),
        "",
        "- The instances that it names cost more than its figure by themselves, at list prices"
        f" ({', '.join(f'{name} {usd(_named_total(lines[name]), 0)}' for name in names)}).",
        "- The EKS control plane, the NAT gateways and the public addresses, which it does not name, exceed the figure"
        " for dev and staging by themselves"
        f" ({', '.join(f'{name} {usd(fixed[name], 0)}' for name in names)}), whatever the use.",
        "- It asks for a standby of the database in staging and production and three NAT gateways in production; each"
        " costs as much again as the one.",
        "- Reserved instances or savings plans (its section 9.3) would take about 30 % off nodes, database and cache,"
        " by its own estimate; they do not close the gap.",
        "",
    ]


def _named_total(lines: Sequence[Line]) -> float:
    return sum(_part(line, _NAMED[0][0]) for line in lines if _named(line))


def _part(line: Line, row: str) -> float:
    """What of a line belongs to a row: an instance with its standby is one of each."""
    return line.usd / 2 if line.what == "instance and standby" and row in (_NAMED[0][0], _NAMED[1][0]) else line.usd


def _of_service(lines: Sequence[Line], service: str) -> float:
    return sum(line.usd for line in lines if line.service == service)
