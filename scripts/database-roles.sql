-- The roles of the service's database, the heartbeat table, and who may do what.
--
-- Run as the administrator in the service's own database (not in "postgres"), once for each instance that is not
-- restored from another: a restored one has them already. It can be run again, also while the service works:
--   psql "host=… dbname=detections user=postgres sslmode=verify-full" -v ON_ERROR_STOP=1 \
--     -c "SET ops.service_role = 'detection_api'" -f scripts/database-roles.sql
-- ops.service_role is the role that the service signs in as: its name, with underscores for hyphens.
-- Statements are separated by an empty line and contain none, for runners that send one at a time, in one session.
--
-- None of the roles has a password: being in rds_iam, each signs in with an IAM token only, for which the caller
-- needs rds-db:connect.
-- https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
        CREATE ROLE ops_reader LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_heartbeat') THEN
        CREATE ROLE ops_heartbeat LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_remedy') THEN
        CREATE ROLE ops_remedy LOGIN;
    END IF;
END $$;

GRANT rds_iam TO ops_reader, ops_heartbeat, ops_remedy;

-- The service signs in like them, and makes its own tables. It cannot take the last connections: somebody must get in to
-- end those that it leaks.
DO $$
DECLARE
    service text := nullif(current_setting('ops.service_role', true), '');
BEGIN
    IF service IS NULL THEN
        RAISE EXCEPTION 'ops.service_role is not set: say which role is the service''s';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', service);
    END IF;
    EXECUTE format('GRANT rds_iam TO %I', service);
    EXECUTE format('GRANT CREATE, USAGE ON SCHEMA public TO %I', service);
    EXECUTE format('ALTER ROLE %I CONNECTION LIMIT %s', service, current_setting('max_connections')::int * 9 / 10);
END $$;

-- Reads everything, to compare a restored copy with what was recorded of its source; writes nothing.
GRANT pg_read_all_data TO ops_reader;

ALTER ROLE ops_reader SET default_transaction_read_only = on;

CREATE SCHEMA IF NOT EXISTS ops;

-- One row a minute. The newest one in a restored copy says to the second how much was lost.
CREATE TABLE IF NOT EXISTS ops.heartbeat (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stamped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT USAGE ON SCHEMA ops TO ops_heartbeat;

GRANT SELECT, INSERT, DELETE ON ops.heartbeat TO ops_heartbeat;

-- Looks at who does what, and at the statements that took most of the time, where the extension can be had.
GRANT pg_monitor TO ops_remedy;

DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA ops;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE NOTICE 'no pg_stat_statements: %', SQLERRM;
END $$;

GRANT USAGE ON SCHEMA ops TO ops_remedy;

-- Ends sessions and queries, by functions that the service's role owns and that run as that role: so PostgreSQL itself
-- keeps them from anybody else's sessions. To give them to that role one must be able to become it, and it must have
-- CREATE on the schema. Both end with the transaction, so that nobody else ever sees them: a member of the service's
-- role would be one of rds_iam too, and could log in with a token only.
BEGIN;

DO $$
DECLARE
    service text := current_setting('ops.service_role');
BEGIN
    EXECUTE format('GRANT %I TO CURRENT_USER', service);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA ops TO %I', service);
    EXECUTE format('SET LOCAL ROLE %I', service);
END $$;

-- Each ends what was seen and nothing else: a process number may be another session's by now, and what was idle may
-- have begun to work. True if the signal was sent; what it ends may take a moment to go.
CREATE OR REPLACE FUNCTION ops.end_session(session integer, started timestamptz, idle_since timestamptz)
    RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
        WHERE pid = session AND backend_start = started AND state_change = idle_since AND usename = current_user
            AND state IN ('idle', 'idle in transaction', 'idle in transaction (aborted)')
    $$;

CREATE OR REPLACE FUNCTION ops.cancel_query(session integer, since timestamptz)
    RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT coalesce(bool_or(pg_cancel_backend(pid)), false) FROM pg_stat_activity
        WHERE pid = session AND query_start = since AND usename = current_user AND state = 'active'
    $$;

CREATE OR REPLACE FUNCTION ops.end_query(session integer, since timestamptz)
    RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
        WHERE pid = session AND query_start = since AND usename = current_user AND state = 'active'
    $$;

REVOKE ALL ON FUNCTION ops.end_session, ops.cancel_query, ops.end_query FROM PUBLIC;

GRANT EXECUTE ON FUNCTION ops.end_session, ops.cancel_query, ops.end_query TO ops_remedy;

RESET ROLE;

DO $$
DECLARE
    service text := current_setting('ops.service_role');
BEGIN
    EXECUTE format('REVOKE USAGE, CREATE ON SCHEMA ops FROM %I', service);
    EXECUTE format('REVOKE %I FROM CURRENT_USER', service);
END $$;

COMMIT;
