"""docs/cost.md: what it rests on: assumptions, prices with their sources, what is free."""

from collections.abc import Mapping

from scripts.cost.automation import Automation
from scripts.cost.prices import Prices
from scripts.cost.tables import row, rule
from tests.infrastructure.platform import Platform

_GRADES = {"aws": "AWS", "list": "from AWS's price list", "other": "third party", "memory": "**unverified**"}


def assumptions(platforms: Mapping[str, Platform], automations: Mapping[str, Automation], prices: Prices) -> list[str]:
    """What is assumed, and for how long AWS makes workflows wait."""
    names = list(platforms)
    rows = []
    for name, given in prices.data["assumptions"].items():
        if name == "log_gb":
            rows.append(row(f"`{name}`: {given['why']}", [""] * len(names)))
            rows += [row(f"`{prefix}`", [str(of[n]) for n in names]) for prefix, of in given["value"].items()]
        else:
            value = given["value"]
            of = value if isinstance(value, dict) else dict.fromkeys(names, value)
            rows.append(row(f"`{name}`: {given['why']}", [str(of[n]) for n in names]))
    automation = automations["prod"]
    return [
        "## Assumptions",
        "",
        "Guesses, all of them, in [prices.yaml](cost/prices.yaml); no plan says them.",
        "",
        row("", names),
        rule(names),
        *rows,
        "",
        "How long AWS is assumed to take for what a workflow waits for, and what looking costs:",
        "",
        "| workflow | waits for | seconds | looks |",
        "| --- | --- | --- | --- |",
        *(
            f"| {loop['workflow']} | {loop['why']} | {loop['seconds']} |"
            f" {automation.visits(loop['workflow'])[loop['wait']]:.0f}, every"
            f" {automation.template.parameter(loop['poll'])} s |"
            for loop in prices.data["loops"]
        ),
        "",
    ]


def price_list(prices: Prices) -> list[str]:
    """Every price with its source."""
    sources = prices.data["sources"]
    unverified = [name for name in prices.names if prices.grade(name) == "memory"]
    used = {found["source"] for found in prices.data["prices"].values()}
    return [
        "## Prices",
        "",
        f"Looked up on {prices.data['looked_up_on']}. **Unverified**, from memory:"
        f" {', '.join(f'`{name}`' for name in unverified)}.",
        "",
        "| | USD | for one | source | |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| `{name}` | {_plain(prices[name].usd)} | {prices[name].per} | {prices[name].source} |"
            f" {_GRADES[prices.grade(name)]} |"
            for name in prices.names
        ),
        "",
        "| source | | dated |",
        "| --- | --- | --- |",
        *(f"| {name} | {_link(found)} | {found['date']} |" for name, found in sources.items() if name in used),
        "",
    ]


def free(platforms: Mapping[str, Platform], automations: Mapping[str, Automation], prices: Prices) -> list[str]:
    """What is free, and what is left out."""
    planned = {r.kind for platform in platforms.values() for r in platform.resources.values()}
    known = planned | automations["prod"].template.kinds
    return [
        "## What is left out",
        "",
        *(f"- {what}" for what in prices.data["not_included"]),
        "",
        "## What costs nothing",
        "",
        "| type | why |",
        "| --- | --- |",
        *(f"| `{kind}` | {why} |" for kind, why in prices.data["free"].items() if kind in known),
    ]


def _link(source: Mapping[str, str]) -> str:
    return f"[{source['what']}]({source['url']})" if "url" in source else source["what"]


def _plain(amount: float) -> str:
    return f"{amount:.10f}".rstrip("0").rstrip(".")
