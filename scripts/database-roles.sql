-- The roles of the service's database, the heartbeat table, and who may do what.
--
-- Run as the administrator in the service's own database (not in "postgres"), once for each instance that is not
-- restored from another: a restored one has them already. It can be run again, also while the service works:
--   psql "host=… dbname=detections user=postgres sslmode=verify-full" -v ON_ERROR_STOP=1 -f scripts/database-roles.sql
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
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'detection_api') THEN
        CREATE ROLE detection_api LOGIN;
    END IF;
END $$;

GRANT rds_iam TO ops_reader, ops_heartbeat, detection_api;

-- Reads everything, to compare a restored copy with what was recorded of its source; writes nothing.
GRANT pg_read_all_data TO ops_reader;

ALTER ROLE ops_reader SET default_transaction_read_only = on;

-- The service makes its own tables.
GRANT CREATE, USAGE ON SCHEMA public TO detection_api;

CREATE SCHEMA IF NOT EXISTS ops;

-- One row a minute. The newest one in a restored copy says to the second how much was lost.
CREATE TABLE IF NOT EXISTS ops.heartbeat (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stamped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT USAGE ON SCHEMA ops TO ops_heartbeat;

GRANT SELECT, INSERT, DELETE ON ops.heartbeat TO ops_heartbeat;
