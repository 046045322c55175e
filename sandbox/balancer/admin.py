"""The admin port: `/health`, `/targets` (what DescribeTargetHealth answers from) and `/counters`."""

from typing import Any

from aiohttp import web

from sandbox.balancer import measurements as metric
from sandbox.balancer.state import Group, Table


def _targets(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "id": target.id,
            "port": target.port,
            "state": str(target.health.state),
            "reason": target.health.reason,
            "description": target.health.description,
            "registered_at": target.registered_at,
        }
        for target in group.targets.values()
    ]


def _counters(group: Group) -> dict[str, int]:
    totals = group.tally.totals
    return {
        "requests": totals[metric.REQUESTS],
        **{f"{code}xx": totals[name] for code, name in metric.TARGET_CODE.items()},
        "connection_errors": totals[metric.CONNECTION_ERRORS],
        "in_flight": group.in_flight,
    }


def application(table: Table) -> web.Application:
    """The aiohttp application of the admin port."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "routing_version": table.version})

    async def targets(_: web.Request) -> web.Response:
        return web.json_response({arn: _targets(group) for arn, group in table.groups.items()})

    async def counters(_: web.Request) -> web.Response:
        totals = table.tally.totals
        return web.json_response(
            {
                "routing_version": table.version,
                "load_balancer": {
                    "requests": totals[metric.REQUESTS],
                    "elb_4xx": totals[metric.ELB_4XX],
                    "elb_5xx": totals[metric.ELB_5XX],
                    **{f"elb_{code}": totals[name] for code, name in metric.ELB_CODE.items()},
                },
                "target_groups": {arn: _counters(group) for arn, group in table.groups.items()},
            }
        )

    app = web.Application()
    app.add_routes([web.get("/health", health), web.get("/targets", targets), web.get("/counters", counters)])
    return app
