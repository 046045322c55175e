"""Sessions in the database as the service's role has them: through its endpoint, with TLS and an IAM token."""

import json
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import Any, Self

import boto3
from botocore.exceptions import ClientError
from pg8000 import native
from pg8000.exceptions import DatabaseError, InterfaceError

from sandbox.operator.data import Data
from sandbox.provision.database import DATABASE
from sandbox.provision.roles import database_user

AT_ONCE = 8
# 10^16 rows that are never kept: it computes and stores nothing.
_ROWS = "generate_series(1, 10000)"
RUNAWAY = f"SELECT count(*) FROM {_ROWS} a, {_ROWS} b, {_ROWS} c, {_ROWS} d"  # noqa: S608
_BROKEN = (DatabaseError, InterfaceError, OSError)


class Held:
    """Sessions that are open until somebody ends them."""

    def __init__(self, sessions: list[Any]) -> None:
        self._sessions = sessions

    def alive(self) -> int:
        """How many still answer. Asking makes an idle one a little less idle."""
        return sum(_answers(session) for session in self._sessions)

    def close(self) -> None:
        """Close them all; those that were ended are closed already."""
        for session in self._sessions:
            with suppress(*_BROKEN):
                session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Running:
    """Queries that run until somebody cancels them, or ends their sessions."""

    def __init__(self, sessions: list[Any], query: str) -> None:
        self.errors: list[str] = []
        """What those that ended said, in the server's words."""
        self._sessions = sessions
        self._threads = [threading.Thread(target=self._run, args=(one, query), daemon=True) for one in sessions]
        for thread in self._threads:
            thread.start()

    def _run(self, session: Any, query: str) -> None:
        try:
            session.run(query)
        except _BROKEN as error:
            self.errors.append(str(error))

    def running(self) -> int:
        """How many have not ended."""
        return sum(thread.is_alive() for thread in self._threads)


class Sessions(Data):
    """Opened with a role of their own, which may do with the database what the service's may."""

    @cached_property
    def _credentials(self) -> dict[str, str]:
        config, iam = self.config, self.clients["iam"]
        name = f"{config.name}-sessions"
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{config.account}:root"},
            "Action": "sts:AssumeRole",
        }
        resource = f"arn:aws:rds-db:{config.region}:{config.account}:dbuser:*/{database_user(config)}"
        login = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource}
        try:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityAlreadyExists":
                raise
        iam.put_role_policy(RoleName=name, PolicyName="login", PolicyDocument=_document(login))
        arn = f"arn:aws:iam::{config.account}:role/{name}"
        session = self.clients["sts"].assume_role(RoleArn=arn, RoleSessionName="operator")["Credentials"]
        return {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }

    def _open(self, count: int, application: str, prepare: Callable[[Any], object]) -> list[Any]:
        host, _, port = self.endpoint("database").rpartition(":")
        rds: Any = boto3.client(
            "rds", endpoint_url=self.config.platform_url, region_name=self.config.region, **self._credentials
        )
        trust = ssl.create_default_context(cafile=self.config.tls_dir / "ca.pem")
        user = database_user(self.config)

        def connect(_: int) -> Any:
            session = native.Connection(
                user,
                host=host,
                port=int(port),
                database=DATABASE,
                password=rds.generate_db_auth_token(host, int(port), user, self.config.region),
                ssl_context=trust,
                timeout=30,
                application_name=application,
            )
            prepare(session)
            # A query may take for ever; only to connect is there a limit.
            session._usock.settimeout(None)
            return session

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sessions") as pool:
            return list(pool.map(connect, range(count)))

    def open_sessions(self, count: int, *, in_transaction: bool = False, application: str = "a-leak") -> Held:
        """Open sessions of the service's role that do nothing, or nothing any more in a transaction that they began.

        Raises pg8000's errors if the server takes no more.
        """
        return Held(
            self._open(count, application, lambda session: session.run("BEGIN" if in_transaction else "SELECT 1"))
        )

    def run_query(self, sessions: int = 3, *, query: str = RUNAWAY, application: str = "a-report") -> Running:
        """Run a query that does not end, in as many sessions of the service's role; each takes a processor.

        The sandbox counts an instance as having half of one, so a few keep it busy on a machine that does other things.
        """
        return Running(self._open(sessions, application, lambda _: None), query)

    def end_query(self, application: str = "a-report") -> None:
        """End the sessions of that name as the database's administrator, at the end of a test."""
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name", name=application
        )


def _answers(session: Any) -> bool:
    try:
        session.run("SELECT 1")
    except _BROKEN:
        return False
    return True


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
