"""The pages and pictures of terraform/ say what it is now."""

import copy
import xml.etree.ElementTree as ET

import pytest

from scripts.document_platform import DOCS, pages
from scripts.draw_platform import graph
from tests.infrastructure.platform import Platform
from tests.infrastructure.terraform import ENVIRONMENTS

PICTURES = [f"platform-{name}.svg" for name in ENVIRONMENTS]


@pytest.fixture(scope="module")
def written(platform_of):
    return pages({environment: platform_of(environment) for environment in ENVIRONMENTS})


@pytest.mark.parametrize("name", ["terraform.md", "environments.md", *PICTURES])
def test_it_is_current(written, name):
    assert (DOCS / name).read_text() == written[DOCS / name], "run .venv/bin/python scripts/document_platform.py"


def test_nothing_else_is_written(written):
    assert {path.name for path in DOCS.glob("platform-*.svg")} == set(PICTURES)
    assert {path.name for path in written} == {"terraform.md", "environments.md", *PICTURES}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_every_box_and_arrow_of_the_graph(written, platform_of, name):
    lines = graph(platform_of(name.removeprefix("platform-").removesuffix(".svg"))).splitlines()
    boxes = [line for line in lines if line.startswith('"') and "[label=<" in line]
    arrows = [line for line in lines if " -> " in line]
    kinds = [group.get("class") for group in ET.fromstring(written[DOCS / name]).iter("{http://www.w3.org/2000/svg}g")]  # noqa: S314 - our own
    assert (kinds.count("node"), kinds.count("edge")) == (len(boxes), len([a for a in arrows if "invis" not in a]))
    assert len(boxes) >= 15


def test_arrows_are_the_rules_of_the_security_groups(platform_of):
    drawn = graph(platform_of("prod"))
    assert '"nodes" -> "database" [label="5432"];' in drawn
    assert '"functions" -> "drill" [label="5432, 6379"];' in drawn
    assert '"drill" -> ' not in drawn
    assert "reaches nothing" in drawn


def test_a_rule_that_is_added_is_drawn(platform_of):
    plan = copy.deepcopy(platform_of("prod").plan)
    rules = plan["planned_values"]["root_module"]["resources"]
    prod = platform_of("prod")
    drill, queue = prod["security_group.drill"]["id"], prod["security_group.queue"]["id"]
    for kind, by, to in (("ingress", queue, drill), ("egress", drill, queue)):
        rule = copy.deepcopy(next(r for r in rules if r["type"] == f"aws_vpc_security_group_{kind}_rule"))
        rule["address"] += "-added"
        rule["values"] |= {
            "security_group_id": by,
            "referenced_security_group_id": to,
            "from_port": 2049,
            "cidr_ipv4": None,
        }
        rules.append(rule)
    drawn = graph(Platform("prod", plan))
    assert '"drill" -> "queue" [label="2049"];' in drawn
    assert "reaches nothing" not in drawn


def test_environments_are_drawn_as_they_differ(platform_of):
    dev, prod = graph(platform_of("dev")), graph(platform_of("prod"))
    assert "3 NAT gateways" in prod
    assert "one for all zones" in dev
    assert "standby in another zone" in prod
    assert "standby in another zone" not in dev
    assert '"clients" -> "alb" [label="80"];' in dev
    assert '"clients" -> "alb" [label="80, 443"];' in prod
