"""An operator's hands on a running sandbox: what the workflow tests, the demo and the benchmark do with it."""

from sandbox.operator.alarms import Alarms
from sandbox.operator.causes import Causes
from sandbox.operator.executions import Execution, Executions
from sandbox.operator.hands import StillRunningError
from sandbox.operator.releases import Releases
from sandbox.operator.sessions import Sessions

__all__ = ["Execution", "Operator", "StillRunningError"]


class Operator(Executions, Releases, Alarms, Causes, Sessions):
    """Starts and follows workflows, breaks things, and reads what is there, as the sandbox's administrator."""
