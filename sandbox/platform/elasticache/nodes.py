"""The servers of a replication group: started, replicated, failed over, replaced when they die."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.addresses import Address
from sandbox.platform.elasticache.model import Group, Node
from sandbox.platform.elasticache.state import State
from sandbox.ports import PortHold
from sandbox.redis.launcher import Launcher
from sandbox.redis.relay import Relays, server_context
from sandbox.redis.server import RedisError, RedisServer

log = logging.getLogger(__name__)


class Nodes:
    """Changes servers. All methods want `group.lock` held and `state.lock` not held; they raise `RedisError`."""

    def __init__(self, state: State, tls_dir: Path) -> None:
        self._state = state
        self._tls_dir = tls_dir
        self._launcher = Launcher()
        self._relays = Relays()

    def prepare(self, group: Group, count: int, zones: list[str]) -> None:
        """Give `group` its first nodes, not started yet; ports and names are settled now."""
        for _ in range(count):
            self._add(group, zones)
        group.primary = group.nodes[0]
        group.host = group.primary.host

    def start(self, group: Group, dump: Path | None) -> None:
        """Start all nodes, the primary with the contents of `dump`."""
        assert group.primary is not None  # noqa: S101 - set by prepare
        self._start(group, group.primary, dump=dump)
        for node in group.replicas:
            self._start(group, node)

    def grow(self, group: Group, zones: list[str]) -> None:
        """Add one replica."""
        with self._state.lock:
            node = self._add(group, zones)
        self._start(group, node)

    def shrink(self, group: Group, node: Node) -> None:
        """Remove one replica."""
        self._stop(node)
        with self._state.lock:
            group.nodes.remove(node)
            if group.snapshotting_cluster == node.id:
                group.snapshotting_cluster = None

    def configure(self, group: Group) -> None:
        """Bring the servers' options in line with node type and parameters."""
        with self._state.lock:
            options = self._state.options(group)
        for node in group.nodes:
            if node.server.running:
                node.server.configure(options)

    def set_auth_tokens(self, group: Group) -> None:
        """Bring the servers' passwords in line."""
        for node in group.nodes:
            if node.server.running:
                node.server.set_auth_tokens(*group.auth_tokens)

    def fail_over(self, group: Group) -> None:
        """Make the first running replica the primary; the old one is replaced and follows.

        The primary endpoint keeps its address. What the replica had not received yet is lost, as on AWS.
        Raises `RedisError` if no replica runs.
        """
        old, new = group.primary, next((node for node in group.replicas if node.server.running), None)
        if old is None or new is None:
            raise RedisError(f"{group.id} has no replica to fail over to")
        old.server.stop()
        new.server.promote()
        if group.primary_relay is None:
            if old.relay is not None:
                group.primary_relay, old.relay = old.relay, None
            else:
                group.primary_relay = self._relays.open((group.host, group.port), new.server.address)
            # The first primary's address is the group's own from now on.
            with self._state.lock:
                old.host = self._free_host(group)
                if not group.transit_encryption:
                    old.server.address = (old.host, group.port)
        group.primary_relay.retarget(new.server.address)
        with self._state.lock:
            group.primary = new
        for node in group.replicas:
            if node is not old and node.server.running:
                node.server.follow(new.server.address)
        self._start(group, old)

    def replace_dead(self, group: Group) -> bool:
        """Replace the servers that ended without having been told to; False if there were none.

        A primary's data is lost with it unless a replica takes over, which takes `automatic_failover`.
        """
        dead = [node for node in group.nodes if not node.server.running and not self._held_down(group, node)]
        if not dead:
            return False
        log.warning("%s: replacing %s", group.id, [node.id for node in dead])
        survivor = any(node.server.running for node in group.replicas)
        if group.primary in dead and group.automatic_failover and survivor:
            self.fail_over(group)
        for node in sorted(dead, key=lambda node: node is not group.primary):
            if not node.server.running:
                self._start(group, node)
        return True

    def cut(self, group: Group) -> None:
        """Stop the servers that the setting `stopped` names."""
        for node in group.nodes:
            if self._held_down(group, node):
                node.server.stop()

    def destroy(self, group: Group) -> None:
        """Stop everything and remove what it kept."""
        for node in list(group.nodes):
            self._stop(node)
        if group.primary_relay is not None:
            group.primary_relay.close()
            group.primary_relay = None
        shutil.rmtree(group.directory, ignore_errors=True)

    def end(self) -> None:
        """End every server, now and in whatever state."""
        for group in list(self._state.groups.values()):
            for node in list(group.nodes):
                node.server.stop()

    def _held_down(self, group: Group, node: Node) -> bool:
        return bool(self._state.told("stopped", node.id, group.id))

    def _add(self, group: Group, zones: list[str]) -> Node:
        taken = {node.id for node in group.nodes}
        # Member clusters are named <group>-001, -002, ...
        name = next(name for name in (f"{group.id}-{number:03d}" for number in range(1, 1000)) if name not in taken)
        host = self._free_host(group)
        server = RedisServer(
            self._launcher,
            group.directory / name,
            _behind() if group.transit_encryption else (host, group.port),
            admin_password=group.nodes[0].server.admin_password if group.nodes else None,
        )
        node = Node(name, server, zones[len(group.nodes) % len(zones)], host)
        group.nodes.append(node)
        return node

    def _free_host(self, group: Group) -> str:
        """An address of its own for an endpoint: one that nobody here has, and nobody else on that port."""
        taken = {node.host for each in (*self._state.groups.values(), group) for node in each.nodes}
        taken |= {each.host for each in self._state.groups.values()}
        address = Address.find(group.port, avoid=frozenset(taken))
        address.close()
        return address.host

    def _start(self, group: Group, node: Node, dump: Path | None = None) -> None:
        with self._state.lock:
            options: Mapping[str, str] = self._state.options(group)
            primary = group.primary
        node.server.start(
            options,
            auth_token=group.auth_tokens[0] if group.auth_tokens else None,
            primary=primary.server.address if primary is not None and primary is not node else None,
            dump=dump,
        )
        if len(group.auth_tokens) > 1:
            node.server.set_auth_tokens(*group.auth_tokens)
        if group.transit_encryption and node.relay is None:
            context = server_context(self._tls_dir)
            node.relay = self._relays.open((node.host, group.port), node.server.address, context)

    @staticmethod
    def _stop(node: Node) -> None:
        if node.relay is not None:
            node.relay.close()
            node.relay = None
        node.server.stop()


def _behind() -> tuple[str, int]:
    """Where a server listens that has a relay in front of it."""
    with PortHold(1) as hold:
        return "127.0.0.1", hold.ports[0]
