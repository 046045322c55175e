-- The roles of the service's database, the heartbeat table, and who may do what.
--
-- Run as the administrator in the service's own database (not in "postgres"), once for each instance that is not
-- restored from another: a restored one has them already. It can be run again, also while the service works:
--   psql "host=… dbname=detections user=postgres sslmode=verify-full" -v ON_ERROR_STOP=1 \
--     -c "SET ops.service_role = 'detection_api'" -f scripts/database-roles.sql
-- ops.service_role is the role that the service signs in as: its name, with underscores for hyphens.
-- Statements are separated by an empty line and contain none, for runners that send one at a time.
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
END $$;

GRANT rds_iam TO ops_reader, ops_heartbeat;

-- The service signs in like them, and makes its own tables.
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
