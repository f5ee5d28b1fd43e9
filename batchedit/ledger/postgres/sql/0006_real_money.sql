-- Before its first purchase at a service that is not a person's own sandbox a worker says so: then no sum of the run is called
-- play money any more, and nothing takes that back. A worker can't say the opposite.
CREATE FUNCTION note_real(p_run bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
    INSERT INTO fact VALUES (p_run, 'real_money', 'yes') ON CONFLICT (run, name) DO NOTHING;
$$;

REVOKE EXECUTE ON FUNCTION note_real(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_real(bigint) TO batchedit_worker;
