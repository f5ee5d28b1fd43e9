-- A million jobs come in at once: what was asked of every row is asked of every statement.

-- Nobody looks a job up by its slot here: that is done in the folder's copy.
DROP INDEX request_slot;

-- A foreign key asks its index once a row, by a statement of its own: they were half of an intake. What they proved is proved
-- once a statement, in the same transaction, for whoever writes: a job has a request, a request and a line have a run. And
-- neither a request nor a run goes away or gets another number, so that it stays true, and no row of theirs needs a lock.
ALTER TABLE job DROP CONSTRAINT job_run_id_fkey;
ALTER TABLE request DROP CONSTRAINT request_run_fkey;
ALTER TABLE line DROP CONSTRAINT line_run_fkey;

CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql SET search_path = batchedit, pg_temp AS $$
BEGIN
    RAISE foreign_key_violation USING MESSAGE = format('a row of the table %s stays, and so does its number', TG_TABLE_NAME);
END $$;
CREATE TRIGGER run_stays BEFORE UPDATE OF id OR DELETE OR TRUNCATE ON run EXECUTE FUNCTION stays();
CREATE TRIGGER request_stays BEFORE UPDATE OF run, id OR DELETE OR TRUNCATE ON request EXECUTE FUNCTION stays();
CREATE TRIGGER job_number_stays BEFORE UPDATE OF run, id ON job EXECUTE FUNCTION stays();
CREATE TRIGGER line_run_stays BEFORE UPDATE OF run ON line EXECUTE FUNCTION stays();

CREATE FUNCTION has_run() RETURNS trigger LANGUAGE plpgsql SET search_path = batchedit, pg_temp AS $$
DECLARE
    lost bigint;
BEGIN
    SELECT run INTO lost FROM (SELECT DISTINCT run FROM after) AS told
        WHERE NOT EXISTS (SELECT FROM run WHERE run.id = told.run) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('the table %s names the run %s, which is not there',
            TG_TABLE_NAME, lost);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER request_has_run AFTER INSERT ON request REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION has_run();
CREATE TRIGGER line_has_run AFTER INSERT ON line REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION has_run();

-- By the key, whatever the planner believes of a table that nobody has analyzed yet: else it may read all of it every time.
CREATE FUNCTION has_request() RETURNS trigger LANGUAGE plpgsql SET search_path = batchedit, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    lost record;
BEGIN
    SELECT run, id INTO lost FROM after
        WHERE NOT EXISTS (SELECT FROM request WHERE request.run = after.run AND request.id = after.id) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('the job %s of the run %s has no request', lost.id, lost.run);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_has_request AFTER INSERT ON job REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION has_request();

REVOKE EXECUTE ON FUNCTION stays(), has_run(), has_request() FROM PUBLIC;
