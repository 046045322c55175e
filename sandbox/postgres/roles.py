"""The roles that an RDS for PostgreSQL instance has from the start.

"Understanding PostgreSQL roles and permissions" and "IAM database authentication" in the RDS user guide: the
master user is no superuser but a member of `rds_superuser`; whoever is in `rds_iam` logs in with a token only.
"""

from sandbox.postgres.server import Server, identifier, quoted

_PREDEFINED = (
    "pg_monitor",
    "pg_signal_backend",
    "pg_checkpoint",
    "pg_read_all_data",
    "pg_write_all_data",
)


def create(server: Server, *, master: str, password: str, database: str | None) -> None:
    """Roles, the master user and, if named, a database that it owns."""
    with server.connection() as session:
        for role in ("rds_superuser", "rds_iam", "rds_replication", "rds_password"):
            session.run(f"CREATE ROLE {role} NOLOGIN")
        session.run(f"GRANT {', '.join(_PREDEFINED)} TO rds_superuser WITH ADMIN OPTION")
        session.run(f"CREATE ROLE {identifier(master)} LOGIN CREATEDB CREATEROLE PASSWORD {quoted(password)}")
        session.run(f"GRANT rds_superuser TO {identifier(master)}")
        # Not through rds_superuser, whose members would all count as members of rds_iam.
        session.run(f"GRANT rds_iam TO {identifier(master)} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
        session.run(f"ALTER DATABASE postgres OWNER TO {identifier(master)}")
        session.run("ALTER SCHEMA public OWNER TO pg_database_owner")
        if database and database != "postgres":
            session.run(f"CREATE DATABASE {identifier(database)} OWNER {identifier(master)}")


def set_password(server: Server, master: str, password: str) -> None:
    """A new password for the master user; sessions go on."""
    with server.connection() as session:
        session.run(f"ALTER ROLE {identifier(master)} PASSWORD {quoted(password)}")
