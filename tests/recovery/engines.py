"""The engines as tests of recovery want them to begin with."""

from sandbox.operator import Operator


def calm(operator: Operator) -> None:
    """Nothing is wrong with them; and all tests share a cache, whose backups of a day would be used up in minutes."""
    operator.calm_engines()
    operator.engine_fault("elasticache", "*", quota={"SnapshotsPerNode": 1000})
