"""The platform with a load balancer: releases move its weights."""

import pytest

from opskit.platform import Platform
from tests.unit.functions.load_balancer import with_load_balancer


@pytest.fixture
def platform(aws: None, platform: Platform) -> Platform:
    return with_load_balancer(platform)
