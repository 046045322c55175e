"""ELBv2: targets by address and port, draining, real health, exact weights, and the routing snapshot."""

import ipaddress
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import urllib3
from moto.core.request import Request
from moto.elbv2.models import ELBv2Backend, FakeAction, FakeListener, FakeTargetGroup, elbv2_backends
from werkzeug.wrappers import Response

from sandbox.platform import routing
from sandbox.platform.application import Forward, json_response
from sandbox.platform.calls import Answer, Call
from sandbox.platform.errors import AwsError
from sandbox.platform.listener_rules import check_actions, check_conditions, normal_actions
from sandbox.platform.targets import Address, Registration, TargetRegistry

HealthSource = Callable[[], Mapping[str, list[dict[str, Any]]]]


class BalancerHealth:
    """Reads `GET /targets` of the balancer's admin port; raises `AwsError` HealthUnavailable."""

    def __init__(self, admin_url: str) -> None:
        self._url = f"{admin_url}/targets"
        self._pool = urllib3.PoolManager(maxsize=8, timeout=urllib3.Timeout(connect=1.0, read=2.0))

    def __call__(self) -> Mapping[str, list[dict[str, Any]]]:
        """Targets with state, reason and description, by target group ARN."""
        try:
            response = self._pool.request("GET", self._url, retries=urllib3.Retry(1, redirect=0))
            if response.status != 200:
                raise AwsError("HealthUnavailable", f"The balancer answered {response.status}", 500)
            return json.loads(response.data)  # type: ignore[no-any-return]
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise AwsError("HealthUnavailable", f"The balancer did not answer: {error}", 500) from error


class LoadBalancing:
    """The concern for ELBv2."""

    service = "elbv2"

    def __init__(
        self,
        *,
        account: str,
        region: str,
        listener_port: int,
        health: HealthSource,
        lock: threading.RLock,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._backend: ELBv2Backend = elbv2_backends[account][region]
        self._listener_port = listener_port
        self._health = health
        self._lock = lock
        self._clock = clock
        self._registry = TargetRegistry()
        self._version = 1
        # A restarted platform begins again at version 1: the ETag must not match then.
        self._boot = uuid.uuid4().hex
        self._document: Mapping[str, Any] | None = None
        self._handlers: dict[str, Callable[[Call, Forward], Answer]] = {
            "RegisterTargets": self._register,
            "DeregisterTargets": self._deregister,
            "DescribeTargetHealth": self._describe_health,
            "CreateListener": self._change_actions,
            "ModifyListener": self._change_actions,
            "CreateRule": self._change_actions,
            "ModifyRule": self._change_actions,
        }

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer one ELBv2 call."""
        handler = self._handlers.get(call.operation)
        if handler is not None:
            return handler(call, forward)
        with self._lock:
            answer = forward()
            if answer.ok and not call.read_only:
                self._changed()
        return answer

    def routing(self, request: Request) -> Response:
        """`GET /_sandbox/routing`; 304 if `If-None-Match` names the present version."""
        with self._lock:
            self._expire()
            etag = f'"{self._boot}-{self._version}"'
            if request.headers.get("If-None-Match") == etag:
                return Response(status=304, headers={"ETag": etag})
            if self._document is None:
                self._document = routing.snapshot(
                    self._backend,
                    self._registry,
                    listener_port=self._listener_port,
                    version=self._version,
                )
            return json_response(self._document, etag=etag)

    def _changed(self) -> None:
        self._version += 1
        self._document = None
        self._registry.forget(self._registry.groups().keys() - self._backend.target_groups.keys())
        used = routing.groups_in_use(self._backend)
        for group in self._backend.target_groups.values():
            # moto adds to this list only when a listener or rule is created.
            group.load_balancer_arns = sorted(used.get(group.arn, ()))

    def _expire(self) -> None:
        def delay(arn: str) -> float:
            group = self._backend.target_groups.get(arn)
            return routing.deregistration_delay(group) if group else 0.0

        if self._registry.expire(delay, self._clock()):
            self._version += 1
            self._document = None

    def _group(self, call: Call) -> FakeTargetGroup:
        group = self._backend.target_groups.get(call.params.get("TargetGroupArn", ""))
        if group is None:
            raise AwsError("TargetGroupNotFound", "One or more target groups not found")
        return group

    def _addresses(self, call: Call, group: FakeTargetGroup) -> list[Address]:
        addresses: list[Address] = []
        for target in call.params.get("Targets") or ():
            identifier, port = str(target.get("Id", "")), int(target.get("Port") or group.port)
            try:
                ipaddress.IPv4Address(identifier)
            except ValueError:
                raise AwsError(
                    "ValidationError", f"The IP address '{identifier}' is not a valid IPv4 address"
                ) from None
            if not 1 <= port <= 65535:
                raise AwsError("ValidationError", f"Port '{port}' must be between 1 and 65535")
            addresses.append((identifier, port))
        return addresses

    def _register(self, call: Call, _: Forward) -> Answer:
        with self._lock:
            group = self._group(call)
            if group.target_type != "ip":
                raise AwsError("UnsupportedInSandbox", f"Targets of type {group.target_type} are not served, only ip")
            self._registry.register(group.arn, self._addresses(call, group), self._clock())
            self._changed()
        return call.answer({})

    def _deregister(self, call: Call, _: Forward) -> Answer:
        with self._lock:
            group = self._group(call)
            self._registry.deregister(group.arn, self._addresses(call, group), self._clock())
            self._expire()
            self._changed()
        return call.answer({})

    def _describe_health(self, call: Call, _: Forward) -> Answer:
        with self._lock:
            self._expire()
            group = self._group(call)
            registered = {(one.id, one.port): one for one in self._registry.targets(group.arn)}
            wanted = self._addresses(call, group) or list(registered)
            in_use = bool(group.load_balancer_arns)
        # Outside of the lock: the balancer may be asking for the routing at this moment.
        seen = {(one["id"], one["port"]): one for one in (self._health().get(group.arn, ()) if registered else ())}
        return call.answer(
            {
                "TargetHealthDescriptions": [
                    {
                        "Target": {"Id": address[0], "Port": address[1]},
                        "HealthCheckPort": self._check_port(group, address),
                        "TargetHealth": _health(registered.get(address), seen.get(address), in_use=in_use),
                    }
                    for address in wanted
                ]
            }
        )

    @staticmethod
    def _check_port(group: FakeTargetGroup, address: Address) -> str:
        port = str(group.health_check_port or "traffic-port")
        return str(address[1]) if port == "traffic-port" else port

    def _change_actions(self, call: Call, forward: Forward) -> Answer:
        actions = call.params.get("DefaultActions") or call.params.get("Actions")
        conditions: Iterable[Mapping[str, Any]] = call.params.get("Conditions") or ()
        with self._lock:
            if actions or call.operation.startswith("Create"):
                check_actions(actions or (), self._backend.target_groups.keys())
            check_conditions(list(conditions))
            answer = forward()
            if answer.ok:
                self._normalize()
                self._changed()
                # moto answered before its actions were put in AWS's form.
                answer = self._read_back(call) or answer
        return answer

    def _normalize(self) -> None:
        for balancer in self._backend.load_balancers.values():
            for listener in balancer.listeners.values():
                for rule in listener.rules.values():
                    rule.actions = [FakeAction(data) for data in normal_actions([one.data for one in rule.actions])]
                    if rule.is_default:
                        listener.default_actions = rule.actions

    def _read_back(self, call: Call) -> Answer | None:
        if call.operation != "ModifyListener":
            return None
        listener = self._backend.describe_listeners(None, [call.params["ListenerArn"]])[0]
        return call.answer(
            {
                "Listeners": [
                    {
                        "ListenerArn": listener.arn,
                        "LoadBalancerArn": listener.load_balancer_arn,
                        "Port": listener.port,
                        "Protocol": listener.protocol,
                        **(_tls(listener) if listener.protocol == "HTTPS" else {}),
                        "DefaultActions": [action.data for action in listener.default_actions],
                    }
                ]
            }
        )


def _tls(listener: FakeListener) -> dict[str, Any]:
    return {
        "SslPolicy": listener.ssl_policy,
        "Certificates": [{"CertificateArn": arn} for arn in listener.certificates],
    }


def _health(registration: Registration | None, seen: Mapping[str, Any] | None, *, in_use: bool) -> dict[str, str]:
    """TargetHealth of one target: what the balancer saw, as far as it speaks of the same registration."""
    if registration is None:
        return _described("unused", "Target.NotRegistered", "Target is not registered to the target group")
    if registration.deregistering_at is not None:
        return _described("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
    if not in_use:
        return _described(
            "unused",
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        )
    if seen is None or seen["registered_at"] != registration.registered_at or seen["state"] == "unused":
        return _described("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    return _described(seen["state"], seen["reason"], seen["description"])


def _described(state: str, reason: str | None, description: str | None) -> dict[str, str]:
    parts = {"State": state, "Reason": reason, "Description": description}
    return {name: text for name, text in parts.items() if text}
