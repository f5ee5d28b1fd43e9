-- What people say about pictures, and what a machine found odd about them: any number of them at once, on any machine.

CREATE TABLE mark (
    run     bigint NOT NULL,
    job     bigint NOT NULL,
    verdict text   NOT NULL CHECK (verdict IN ('', 'approve', 'reject', 'hold')),  -- '': taken back, or only a note
    note    text   NOT NULL,
    serial  bigint NOT NULL CHECK (serial > 0),                                    -- compare-and-set
    who     text   NOT NULL,
    at      double precision NOT NULL,
    PRIMARY KEY (run, job),
    FOREIGN KEY (run, job) REFERENCES request
);

-- Every change of a mark, counted in each run. They are written one after the other (marks_of), so who has seen one has seen
-- all before it.
CREATE TABLE mark_event (
    run     bigint NOT NULL,
    seq     bigint NOT NULL,
    job     bigint NOT NULL,
    serial  bigint NOT NULL,
    verdict text   NOT NULL,
    note    text   NOT NULL,
    who     text   NOT NULL,
    at      double precision NOT NULL,
    via     text   NOT NULL,                      -- review, or import
    by_user text   NOT NULL DEFAULT session_user, -- who the database let in, whatever name was given
    PRIMARY KEY (run, seq)
);
CREATE TRIGGER mark_event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON mark_event EXECUTE FUNCTION only_grows();

CREATE TABLE flag (
    run   bigint NOT NULL REFERENCES run,
    job   bigint NOT NULL,
    flags text   NOT NULL,
    PRIMARY KEY (run, job)
);

CREATE FUNCTION marks_of(p_run bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtext('batchedit marks'), p_run::int)
$$;

CREATE FUNCTION write_mark(p_run bigint, p_via text, told mark) RETURNS void
LANGUAGE sql SET search_path = batchedit, pg_temp AS $$
    INSERT INTO mark VALUES (p_run, told.job, told.verdict, told.note, told.serial, told.who, told.at)
        ON CONFLICT (run, job) DO UPDATE SET verdict = excluded.verdict, note = excluded.note, serial = excluded.serial,
            who = excluded.who, at = excluded.at;
    INSERT INTO mark_event (run, seq, job, serial, verdict, note, who, at, via)
        VALUES (p_run, (SELECT coalesce(max(seq), 0) + 1 FROM mark_event WHERE run = p_run), told.job, told.serial,
            told.verdict, told.note, told.who, told.at, p_via)
$$;

-- Write a mark whose maker saw the serial that it has. Returns the mark as it stands then: of another serial than one more,
-- or of other words, if somebody else was faster. Sent again, it is found written.
CREATE FUNCTION put_mark(p_run bigint, p_via text, wanted jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    told mark%ROWTYPE := jsonb_populate_record(NULL::mark, wanted);
    stands mark%ROWTYPE;
BEGIN
    PERFORM marks_of(p_run);
    SELECT * INTO stands FROM mark WHERE run = p_run AND job = told.job;
    IF coalesce(stands.serial, 0) = told.serial THEN
        told.serial := told.serial + 1;
        PERFORM write_mark(p_run, p_via, told);
        SELECT * INTO stands FROM mark WHERE run = p_run AND job = told.job;
    END IF;
    RETURN to_jsonb(stands);
END $$;

-- Marks made elsewhere, all or none: [job, verdict, note, at]. Returns how many were written, stood so already, were older.
CREATE FUNCTION take_in_marks(p_run bigint, p_who text, decisions jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    said jsonb;
    told mark%ROWTYPE;
    stands mark%ROWTYPE;
    written bigint := 0;
    same bigint := 0;
    older bigint := 0;
BEGIN
    PERFORM marks_of(p_run);
    FOR said IN SELECT * FROM jsonb_array_elements(decisions) LOOP
        SELECT * INTO stands FROM mark WHERE run = p_run AND job = (said->>0)::bigint;
        IF coalesce(stands.verdict, '') = said->>1 AND coalesce(stands.note, '') = said->>2 THEN
            same := same + 1;
        ELSIF coalesce(stands.at, 0) > (said->>3)::float8 THEN
            older := older + 1;
        ELSE
            told := ROW(p_run, (said->>0)::bigint, said->>1, said->>2, coalesce(stands.serial, 0) + 1, p_who,
                (said->>3)::float8);
            PERFORM write_mark(p_run, 'import', told);
            written := written + 1;
        END IF;
    END LOOP;
    RETURN jsonb_build_array(written, same, older);
END $$;

-- What a machine found odd, by job: replaces what was found before. p_mark tells one finding from another.
CREATE FUNCTION put_flags(p_run bigint, p_mark text, told jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
    SELECT marks_of(p_run);
    DELETE FROM flag WHERE run = p_run;
    INSERT INTO flag SELECT p_run, key::bigint, value FROM jsonb_each_text(told);
    INSERT INTO fact VALUES (p_run, 'flags_mark', p_mark) ON CONFLICT (run, name) DO UPDATE SET value = excluded.value
$$;

REVOKE EXECUTE ON FUNCTION marks_of(bigint), write_mark(bigint, text, mark), put_mark(bigint, text, jsonb),
    take_in_marks(bigint, text, jsonb), put_flags(bigint, text, jsonb) FROM PUBLIC;
GRANT SELECT ON mark, mark_event, flag TO batchedit_worker;
GRANT EXECUTE ON FUNCTION put_mark(bigint, text, jsonb), take_in_marks(bigint, text, jsonb),
    put_flags(bigint, text, jsonb) TO batchedit_worker;
