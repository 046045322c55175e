"""The HTTP side of the API."""

import asyncio
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from sandbox.kubernetes.api import APPLY, Api, Options, key_of
from sandbox.kubernetes.authorization import Attempt, allowed
from sandbox.kubernetes.errors import (
    StatusError,
    bad_request,
    forbidden,
    method_not_allowed,
    unauthorized,
)
from sandbox.kubernetes.identity import AuthenticationError, Authenticator, User
from sandbox.kubernetes.resources import Target, discovery, resolve
from sandbox.kubernetes.selectors import parse_fields, parse_labels
from sandbox.kubernetes.store import Change, Object, Store

VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.0-sandbox", "platform": "linux"}
_PUBLIC = {"/healthz": "ok", "/livez": "ok", "/readyz": "ok"}
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

Logger = Callable[[str], None]


def _json(document: Any, status: int = 200) -> web.Response:
    # Exactly this type, without a charset: clients compare it.
    body = json.dumps(document, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json"})


class Server:
    """Authenticates and authorizes every request, then hands it to the `Api`."""

    def __init__(self, store: Store, authenticator: Authenticator, *, pod_logs: Path, log: Logger) -> None:
        self._store = store
        self._api = Api(store)
        self._authenticator = authenticator
        self._pod_logs = pod_logs
        self._log = log
        self._stopping = asyncio.Event()

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=3 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.on_shutdown.append(self._stop)
        return application

    async def _stop(self, _application: web.Application) -> None:
        self._stopping.set()
        await self._authenticator.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if text := _PUBLIC.get(request.path):
            return web.Response(text=text)
        try:
            return await self._dispatch(request)
        except StatusError as error:
            return _json(error.as_dict(), error.code)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A body of the wrong shape, which the real server refuses by its schema.
            self._log(f"{request.method} {request.path}: {traceback.format_exc()}")
            refusal = bad_request(f"the body does not have the shape of its kind: {error!r}")
            return _json(refusal.as_dict(), refusal.code)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        user = await self._user(request)
        if request.path == "/version":
            return _json(VERSION)
        if document := discovery(request.path):
            return _json(document)
        target = resolve(request.path)
        watching = request.query.get("watch") in ("true", "1")
        if request.method not in _VERBS:
            raise method_not_allowed()
        verb = _verb(request.method, target, watching=watching)
        attempt = Attempt(verb, target)
        if not allowed(self._store, user, attempt):
            plural = target.resource.qualified
            name = f' "{target.name}"' if target.name else ""
            raise forbidden(f'{plural}{name} is forbidden: User "{user.name}" cannot {attempt}')
        if request.method == "GET":
            if watching and not target.name:
                return await self._watch(request, target)
            return self._read(request, target)
        return await self._write(request, target)

    async def _user(self, request: web.Request) -> User:
        try:
            return await self._authenticator.authenticate(request.headers.get("Authorization"))
        except AuthenticationError as error:
            self._log(f"refused {request.method} {request.path}: {error}")
            raise unauthorized() from error

    def _read(self, request: web.Request, target: Target) -> web.Response:
        if not target.name:
            return _json(self._list(request, target))
        if target.subresource == "log":
            return self._pod_log(request, target)
        if target.subresource == "eviction":
            raise method_not_allowed()
        if target.subresource == "scale":
            return _json(self._api.scale(target))
        return _json(self._store.get(key_of(target)))

    def _list(self, request: web.Request, target: Target) -> Object:
        resource = target.resource
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self._store.revision)},
            "items": self._store.select(resource, target.namespace, _matcher(request)),
        }

    def _pod_log(self, request: web.Request, target: Target) -> web.Response:
        self._store.get(key_of(target))
        path = self._pod_logs / f"{target.name}.log"
        lines = path.read_text(errors="replace").splitlines(keepends=True) if path.exists() else []
        tail = request.query.get("tailLines")
        if tail and not tail.isdigit():
            raise bad_request("tailLines must be a number")
        return web.Response(text="".join(lines[-int(tail) :] if tail and int(tail) else lines))

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        match = _matcher(request)
        since = request.query.get("resourceVersion", "")
        if since and not since.isdigit():
            raise bad_request("resourceVersion must be a number")
        timeout = float(request.query.get("timeoutSeconds") or 1800)
        known = since not in ("", "0")
        with self._store.subscription(int(since) if known else None) as queue:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            if not known:
                for obj in self._store.select(target.resource, target.namespace, match):
                    await _send(response, "ADDED", obj)
            stopping = asyncio.ensure_future(self._stopping.wait())
            loop = asyncio.get_running_loop()
            end = loop.time() + timeout
            try:
                while (remaining := end - loop.time()) > 0 and not stopping.done():
                    getting = asyncio.ensure_future(queue.get())
                    await asyncio.wait({getting, stopping}, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
                    if not getting.done():
                        getting.cancel()
                        break
                    change: Change = getting.result()
                    if _wanted(change, target) and match(change.object):
                        await _send(response, change.type, change.object)
            finally:
                stopping.cancel()
        return response

    async def _write(self, request: web.Request, target: Target) -> web.Response:
        query = request.query
        if target.subresource == "log":
            raise method_not_allowed()
        agent = request.headers.get("User-Agent", "unknown").split("/")[0]
        apply = request.content_type == APPLY
        options = Options(
            field_manager=query.get("fieldManager") or ("" if apply else agent),
            force=query.get("force") in ("true", "1"),
            dry_run=query.get("dryRun") == "All",
        )
        body = _parse(await request.read(), request.content_type)
        if request.method == "DELETE":
            return self._delete(request, target, body or {}, options)
        if target.subresource == "eviction":
            if request.method != "POST":
                raise method_not_allowed()
            return _json(self._api.evict(target, body, dry_run=options.dry_run), 201)
        if request.method == "POST":
            if target.name:
                raise method_not_allowed()
            return _json(self._api.create(target, body, options), 201)
        if request.method == "PUT":
            return _json(self._api.replace(target, body, options))
        patched, created = self._api.patch(target, request.content_type, body, options)
        return _json(patched, 201 if created else 200)

    def _delete(self, request: web.Request, target: Target, body: Object, options: Options) -> web.Response:
        grace = request.query.get("gracePeriodSeconds")
        if grace is not None:
            body = {**body, "gracePeriodSeconds": grace}
        if target.subresource:
            raise method_not_allowed()
        if target.name:
            return _json(self._api.delete(target, body, dry_run=options.dry_run))
        listing = self._list(request, target)
        for obj in listing["items"]:
            metadata = obj["metadata"]
            each = Target(target.resource, metadata.get("namespace", ""), metadata["name"], "")
            self._api.delete(each, body, dry_run=options.dry_run)
        return _json(listing)


def _verb(method: str, target: Target, *, watching: bool) -> str:
    if method == "GET" and not target.name:
        return "watch" if watching else "list"
    if method == "DELETE" and not target.name:
        return "deletecollection"
    return _VERBS[method]


def _parse(data: bytes, content_type: str) -> Any:
    if not data:
        return None
    try:
        # JSON is YAML, but reading it as YAML is slow.
        return yaml.load(data, yaml.CSafeLoader) if "yaml" in content_type and data[:1] != b"{" else json.loads(data)
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"the body cannot be read: {error}") from error


def _matcher(request: web.Request) -> Callable[[Object], bool]:
    labels = parse_labels(request.query.get("labelSelector", ""))
    fields = parse_fields(request.query.get("fieldSelector", ""))
    return lambda obj: labels(obj["metadata"].get("labels") or {}) and fields(obj)


def _wanted(change: Change, target: Target) -> bool:
    return change.key.resource is target.resource and (not target.namespace or change.key.namespace == target.namespace)


async def _send(response: web.StreamResponse, kind: str, obj: Object) -> None:
    await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
