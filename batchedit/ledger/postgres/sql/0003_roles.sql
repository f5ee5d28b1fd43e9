-- A worker reads, and calls functions; nothing else. Give the role to those who run workers: GRANT batchedit_worker TO anna.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'batchedit_worker') THEN
        CREATE ROLE batchedit_worker NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another store of this server was made at the same moment
END $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA batchedit FROM PUBLIC;
GRANT USAGE ON SCHEMA batchedit TO batchedit_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA batchedit TO batchedit_worker;
GRANT EXECUTE ON FUNCTION standing(bigint), save(bigint, bigint, jsonb), reserve(bigint, bigint, jsonb, boolean, bigint),
    enter(text), beat(bigint, boolean), adopt(bigint), quit(bigint), claim(bigint, bigint, integer, boolean),
    claim_bought(bigint, bigint, integer), halt(bigint, text) TO batchedit_worker;
