"""An operator's hands on a running sandbox: what the workflow tests, the demo and the benchmark do with it."""

from sandbox.operator.data import Data
from sandbox.operator.engines import Engines
from sandbox.operator.executions import Execution, Executions
from sandbox.operator.hands import StillRunningError
from sandbox.operator.releases import Releases

__all__ = ["Execution", "Operator", "StillRunningError"]


class Operator(Executions, Releases, Data, Engines):
    """Starts and follows workflows, breaks things, and reads what is there, as the sandbox's administrator."""
