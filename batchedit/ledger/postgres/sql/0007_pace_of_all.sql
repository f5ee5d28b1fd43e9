-- What a worker can't see by itself: how many POSTs of the others were accepted, how many of their jobs are in flight, and
-- whether their POSTs wait. By its own alone, a worker took a limit of speed for a limit of jobs at once, or the other way round.
ALTER TABLE pace_report
    ADD COLUMN accepted  bigint  NOT NULL DEFAULT 0,      -- POSTs of it that were accepted, in all
    ADD COLUMN in_flight integer NOT NULL DEFAULT 0,      -- its jobs that are accepted, or on their way there, and not over
    ADD COLUMN waits     boolean NOT NULL DEFAULT false;  -- its POSTs wait for their turn

DROP FUNCTION share_pace(bigint, bigint, boolean, double precision, bigint, double precision);

-- As 0005 says.
CREATE FUNCTION share_pace(p_run bigint, p_worker bigint, p_sends boolean, p_rate double precision, p_accepted bigint,
    p_refused bigint, p_held double precision, p_in_flight integer, p_waits boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    p_account text := coalesce(account_of(p_run), 'run ' || p_run);
    this_moment timestamptz := clock_timestamp();
    others record;
    leads boolean;
    published record;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO pace_report VALUES (p_account, p_worker, this_moment, p_sends, p_refused,
            this_moment + make_interval(secs => p_held), p_accepted, p_in_flight, p_waits)
        ON CONFLICT (account, worker) DO UPDATE SET at = excluded.at, sends = excluded.sends, refused = excluded.refused,
            held_until = excluded.held_until, accepted = excluded.accepted, in_flight = excluded.in_flight,
            waits = excluded.waits;
    SELECT count(*) FILTER (WHERE sends) AS sending, min(report.worker) FILTER (WHERE sends) AS oldest,
            coalesce(sum(accepted), 0)::bigint AS accepted, coalesce(sum(refused), 0)::bigint AS refused,
            max(held_until) AS held_until, coalesce(sum(in_flight), 0)::bigint AS in_flight,
            count(*) FILTER (WHERE waits) AS waiting INTO others
        FROM pace_report AS report JOIN worker ON worker.id = report.worker
        WHERE account = p_account AND report.worker != p_worker AND report.at > this_moment - interval '10 s'
            AND NOT gone AND lease_until > this_moment;
    leads := others.oldest IS NULL OR (p_sends AND p_worker < others.oldest);
    SELECT * INTO published FROM pace WHERE account = p_account;
    -- Who begins to lead takes over what was published, and has learned nothing yet that could be told.
    IF leads AND (published.account IS NULL OR published.worker = p_worker
            OR published.at < this_moment - interval '1 min') THEN
        INSERT INTO pace VALUES (p_account, p_rate, p_worker, this_moment)
            ON CONFLICT (account) DO UPDATE SET rate = excluded.rate, worker = excluded.worker, at = excluded.at;
        DELETE FROM pace_report WHERE account = p_account AND at < this_moment - interval '1 hour';
    ELSIF leads THEN
        UPDATE pace SET worker = p_worker, at = this_moment WHERE account = p_account;
    END IF;
    RETURN jsonb_build_object(
        'leads', leads,
        'workers', greatest(1, others.sending + p_sends::int),
        'rate', published.rate,
        'age', extract(epoch FROM this_moment - published.at),
        'accepted', others.accepted,
        'refused', others.refused,
        'held', greatest(0, extract(epoch FROM others.held_until - this_moment)),
        'in_flight', others.in_flight,
        'waiting', others.waiting);
END $$;

REVOKE EXECUTE ON FUNCTION share_pace(bigint, bigint, boolean, double precision, bigint, bigint, double precision, integer,
    boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION share_pace(bigint, bigint, boolean, double precision, bigint, bigint, double precision, integer,
    boolean) TO batchedit_worker;
