"""Lambda functions run in workers that report errors, time out and log as Lambda does.

On AWS an exception's errorType is its bare class name and errorMessage its text, which is what `Retry` and
`Catch` match by; an execution environment survives an exception and is replaced after a timeout or a crash
(https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html,
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html); the path is the function, its
layers under `python/`, then the runtime with its own boto3
(https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html).

ministack reports `Runtime.HandlerError` for every exception, discards the worker after one, waits 50 ms for
output that may not come, unpacks the layer anew for each worker, and puts the server's own packages on the
function's path, so that a dependency missing from the layer would go unnoticed.
"""

import hashlib
import importlib.util
import io
import json
import os
import queue
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from sandbox.automation import worker as worker_script
from sandbox.automation.gaps import embedded_metrics
from sandbox.automation.gaps.lambda_templates import Copy, Template, templates
from sandbox.automation.patching import replace

INIT_SECONDS = 60.0
"""Lambda allows 10 s (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html); a small
machine that starts twenty functions at once is given longer."""

OUTPUT_SECONDS = 2.0
"""How long to wait for the end of an invocation's output after its answer; it is already on its way."""

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's Python runtimes bring along; last on the path, so a layer's own release wins."""

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
"""Variables of this process that a worker may see, besides every AWS_ENDPOINT_URL*."""

_unpack_lock = threading.Lock()


def _tell(pipe: Any, message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def unpacked(archive: bytes) -> Path:
    """The directory that holds the archive's content; unpacked once, shared by all workers."""
    target = Path(tempfile.gettempdir()) / "lambda" / hashlib.sha256(archive).hexdigest()[:32]
    with _unpack_lock:
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=target.parent))
            with zipfile.ZipFile(io.BytesIO(archive)) as content:
                content.extractall(draft)
            draft.rename(target)
    return target


def runtime_directory() -> Path:
    """A directory with the packages of Lambda's own Python runtime, as links to the installed ones."""
    target = Path(tempfile.gettempdir()) / "lambda-runtime"
    with _unpack_lock:
        target.mkdir(parents=True, exist_ok=True)
        for name in RUNTIME_PACKAGES:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None:
                raise RuntimeError(f"{name} is not installed beside ministack")
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            link = target / source.name
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(source)
    return target


def start_template(layers: Sequence[bytes]) -> Template:
    """The process that workers with these layers are copies of; started unless it is there."""
    inherited = {key: value for key, value in os.environ.items() if key in INHERITED}
    return templates.get([str(path) for path in _paths(layers)], [str(runtime_directory())], inherited)


def _paths(layers: Sequence[bytes]) -> list[Path]:
    return [unpacked(content) / "python" for content in layers]


class PythonWorker(lambda_runtime.Worker):  # type: ignore[misc]
    """One execution environment of a Python function; `worker.py` is its other half."""

    def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
        super().__init__(func_name, config, code_zip)
        self._proc: Copy | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._output: list[str] = []
        self._output_ended = threading.Event()

    def _environment(self, code: Path) -> dict[str, str]:
        config = self.config
        account, region = lambda_runtime._account_region_from_function_config(config)
        name = config["FunctionName"]
        inherited = {
            key: value for key, value in os.environ.items() if key in INHERITED or key.startswith("AWS_ENDPOINT_URL")
        }
        log_group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        own = {
            key: value
            for key, value in (config.get("Environment") or {}).get("Variables", {}).items()
            if key not in lambda_runtime._RESERVED_RUNTIME_ENV_VARS
        }
        reserved = {
            "AWS_ACCOUNT_ID": account,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', 'python3.13')}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": time.strftime("%Y/%m/%d/[$LATEST]") + os.urandom(16).hex(),
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAMBDA_TASK_ROOT": str(code),
            "TZ": ":UTC",
            "_HANDLER": config["Handler"],
        }
        return {**inherited, **own, **reserved, **lambda_runtime.execution_credentials(config)}

    def _spawn(self) -> None:
        code = unpacked(self.code_zip)
        layers = []
        for layer in self.config.get("Layers") or []:
            content = lambda_svc._resolve_layer_zip(layer)
            if content is None:
                raise RuntimeError(f"the layer {layer} of {self.func_name} has no content")
            layers.append(content)
        self._answers = queue.Queue()
        process = start_template(layers).copy(code, self._environment(code))
        self._proc = process
        for target, pipe in ((self._read_answers, process.stdout), (self._read_output, process.stderr)):
            threading.Thread(target=target, args=(pipe,), daemon=True).start()
        path = [str(code), *map(str, _paths(layers))]
        init = {"handler": self.config["Handler"], "path": path, "runtime_path": [str(runtime_directory())]}
        _tell(process.stdin, init)

    def _read_answers(self, pipe: Any) -> None:
        answers = self._answers
        for line in pipe:
            answers.put(line)
        answers.put(None)

    def _read_output(self, pipe: Any) -> None:
        for line in pipe:
            if line.startswith(worker_script.END_OF_OUTPUT):
                self._output_ended.set()
            else:
                self._output.append(line.rstrip("\n"))

    def _stop(self) -> int | None:
        process, self._proc = self._proc, None
        if process is None:
            return None
        process.kill()
        return int(process.wait())

    def _answer(self, seconds: float) -> dict[str, Any]:
        """The worker's next answer; raises `queue.Empty` after `seconds`."""
        line = self._answers.get(timeout=seconds)
        if line is not None:
            return dict(json.loads(line))
        self._answers.put(None)
        process, self._proc = self._proc, None
        status = process.wait() if process else "unknown"
        message = f"Runtime exited with error: exit status {status}"
        return {"error": {"errorType": "Runtime.ExitError", "errorMessage": message}}

    def ensure_started(self) -> dict[str, Any] | None:
        """Start the process unless it runs; the error document if its initialisation failed."""
        if self._proc is not None and self._proc.poll() is None:
            return None
        self._spawn()
        try:
            answer = self._answer(INIT_SECONDS)
        except queue.Empty:
            answer = {"error": {"errorType": "Sandbox.Timedout", "errorMessage": "Init timed out"}}
        if "error" not in answer:
            return None
        self._stop()
        return dict(answer["error"])

    def run(self, event: Any, request_id: str, trace_id: str | None) -> dict[str, Any]:
        """One invocation: `{"result": …}` or `{"error": {errorType, errorMessage, …}}`, and `log`."""
        with self._lock:
            self._output, self._output_ended = [], threading.Event()
            error = self.ensure_started()
            if error is not None or self._proc is None:
                error = error or {"errorType": "Runtime.ExitError", "errorMessage": "the runtime is gone"}
                return {"error": {**error, "requestId": request_id}, "log": "\n".join(self._output)}
            timeout = float(self.config.get("Timeout", 3))
            request = {
                "event": event,
                "request_id": request_id,
                "arn": self.config.get("FunctionArn", ""),
                "timeout": timeout,
                "trace_id": trace_id or f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()};Sampled=0",
            }
            try:
                _tell(self._proc.stdin, request)
                answer = self._answer(timeout)
            except queue.Empty:
                self._stop()
                message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
                answer = {"error": {"errorType": "Sandbox.Timedout", "errorMessage": message}}
            except BrokenPipeError:
                answer = self._answer(timeout)
            if self._proc is not None:
                self._output_ended.wait(OUTPUT_SECONDS)
            if "error" in answer:
                answer["error"]["requestId"] = request_id
            return {**answer, "log": "\n".join(self._output)}


def execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Invoke a Python function in a worker of its pool; the result in ministack's form."""
    config = func.get("config") or func
    if not str(config.get("Runtime", "")).startswith("python"):
        raise RuntimeError(f"the sandbox runs Python functions only, {config.get('FunctionName')} is not one")
    lambda_svc._ensure_reaper_thread()
    qualifier = config.get("Version", "$LATEST")
    worker, _ = lambda_runtime.acquire_worker(config["FunctionName"], config, func["code_zip"], qualifier=qualifier)
    try:
        answer = worker.run(event, request_id, lambda_svc._xray_trace_id_for_invocation(config))
    finally:
        lambda_runtime.release_worker(worker)
    embedded_metrics.publish(answer["log"])
    if "error" in answer:
        return {"body": answer["error"], "error": True, "log": answer["log"]}
    return {"body": answer["result"], "log": answer["log"]}


def apply() -> None:
    """Run Python functions in `PythonWorker`s."""
    replace(lambda_runtime, "_worker_class_for", "b5a23849280a", lambda _config: PythonWorker)
    replace(lambda_svc, "_execute_function_warm", "62b9218bef5b", execute)
