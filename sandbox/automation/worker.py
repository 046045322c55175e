"""A Lambda execution environment: runs inside the worker process, with the standard library only.

It speaks lines of JSON: the first line on stdin names the handler, each further one is an invocation, and
each is answered by one line on the descriptor that was stdout. What the function prints goes to stderr, and
`\\x1e<request id>` on a line of its own there marks the end of an invocation's output. Errors have the form of
the Lambda runtime interface client: bare class name, message, stack trace
(https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html).
"""

import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any

END_OF_OUTPUT = "\x1e"


class Context:
    """The context object, https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    identity = None
    client_context = None

    def __init__(self, request_id: str, arn: str, timeout: float) -> None:
        environment = os.environ
        self.function_name = environment["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = environment["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = environment["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = environment["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = arn
        self.aws_request_id = request_id
        self._deadline = time.monotonic() + timeout

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout, never negative."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class RuntimeFailureError(Exception):
    """An error of the runtime itself; `kind` is the errorType that Lambda reports."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def describe(error: BaseException) -> dict[str, Any]:
    """The error document of the runtime interface client."""
    return {
        "errorMessage": str(error),
        "errorType": error.kind if isinstance(error, RuntimeFailureError) else type(error).__name__,
        "stackTrace": traceback.format_list(traceback.extract_tb(error.__traceback__)[1:]),
    }


def load(handler: str) -> Any:
    """The function that `module.function` names."""
    module_name, _, function_name = handler.rpartition(".")
    module_name = module_name.replace("/", ".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise RuntimeFailureError("Runtime.ImportModuleError", message) from error
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise RuntimeFailureError("Runtime.HandlerNotFound", message) from None


def read_requests(requests: "queue.Queue[str]") -> None:
    """Feed stdin's lines to `requests`; end the process with the parent, even in the middle of an invocation."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def invoke(handler: Any, request: dict[str, Any]) -> str:
    """Run one invocation and return its answer as one line of JSON."""
    os.environ["_X_AMZN_TRACE_ID"] = request["trace_id"]
    context = Context(request["request_id"], request["arn"], request["timeout"])
    try:
        result = handler(request["event"], context)
    except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
        sys.stderr.write(f"[ERROR] {type(error).__name__}: {error}\n")
        traceback.print_exc(file=sys.stderr)
        return json.dumps({"error": describe(error)})
    try:
        return json.dumps({"result": result})
    except (TypeError, ValueError) as error:
        failure = RuntimeFailureError("Runtime.MarshalError", f"Unable to marshal response: {error}")
        return json.dumps({"error": describe(failure)})


def main() -> None:
    """Serve until stdin closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    init = json.loads(sys.stdin.readline())
    sys.path[:0] = init["path"]
    sys.path.extend(init["runtime_path"])
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_requests, args=(requests,), daemon=True).start()
    try:
        handler = load(init["handler"])
    except Exception as error:  # noqa: BLE001 - whatever a module raises is its answer
        traceback.print_exc(file=sys.stderr)
        answers.write(json.dumps({"error": describe(error)}) + "\n")
        return
    answers.write(json.dumps({"ready": True}) + "\n")
    while True:
        request = json.loads(requests.get())
        answer = invoke(handler, request)
        sys.stderr.write(f"{END_OF_OUTPUT}{request['request_id']}\n")
        sys.stderr.flush()
        answers.write(answer + "\n")


if __name__ == "__main__":
    main()
