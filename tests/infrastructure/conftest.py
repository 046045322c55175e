"""One provider for all tests of a process, and each environment planned once."""

from functools import cache

import pytest

from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform


@pytest.fixture(scope="session")
def terraform(tmp_path_factory):
    with tf.serving(tmp_path_factory.mktemp("provider")) as served:
        yield served


@pytest.fixture(scope="session")
def platform_of(tmp_path_factory):
    """environment → its Platform, planned when first asked for, with what only an apply would tell."""
    with tf.serving(tmp_path_factory.mktemp("provider"), known=True) as foreseeing:

        @cache
        def make(environment):
            folder = tf.copy_configuration(tmp_path_factory.mktemp(environment) / "terraform")
            return Platform(environment, foreseeing.plan(folder, environment))

        yield make


@pytest.fixture(params=tf.ENVIRONMENTS)
def platform(request, platform_of):
    """Each environment in turn."""
    return platform_of(request.param)


@pytest.fixture
def dev(platform_of):
    return platform_of("dev")


@pytest.fixture
def staging(platform_of):
    return platform_of("staging")


@pytest.fixture
def prod(platform_of):
    return platform_of("prod")


@pytest.fixture
def configuration(tmp_path):
    """A copy of terraform/ to break."""
    return tf.copy_configuration(tmp_path / "terraform")
