-- What a worker may do. Each function is one transaction and one round trip: no client ever holds a lock while it thinks. The
-- worker is a parameter of each, so that a connection may be anybody's (PgBouncer in transaction mode).

-- The twin of core/budget.may_reserve; a property test holds the two together. Micro-dollars.
CREATE FUNCTION admits(
    cap bigint, price bigint, spent bigint, held bigint, in_flight bigint, doubts bigint, uncollected bigint,
    guesses bigint, guessed bigint, top_price bigint, settled boolean, awaits_cost boolean
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    WITH weighed AS (
        SELECT greatest(price, top_price) AS dearest, in_flight + doubts + uncollected AS under_way,
               in_flight + doubts + uncollected + guesses AS waiting
    ), exposed AS (
        SELECT *, spent + greatest(held, under_way * top_price) + greatest(0, guesses * top_price - guessed) + dearest
            AS least FROM weighed
    )
    SELECT cap IS NULL OR (
        least <= cap AND (
            settled
            OR (in_flight = 0 AND NOT awaits_cost AND (waiting = 0 OR greatest(least, (waiting + 1) * dearest * 10) <= cap))
        )
    ) FROM exposed
$$;

CREATE FUNCTION alive(p_worker bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT 1 FROM worker WHERE id = p_worker AND NOT gone AND lease_until > clock_timestamp())
$$;

-- How a run stands: what a worker makes its Money and Counts of.
CREATE FUNCTION standing(p_run bigint) RETURNS jsonb LANGUAGE sql SET search_path = batchedit, pg_temp AS $$
    SELECT jsonb_build_object(
        'max_cost', run.max_cost, 'top_price', run.top_price, 'reused', run.reused, 'halted', run.halted,
        'sums', coalesce((SELECT jsonb_agg(jsonb_build_array(state, wanted, jobs, spent, held, guesses, guessed)) FROM (
            SELECT state, wanted, sum(jobs) AS jobs, sum(spent) AS spent, sum(held) AS held, sum(guesses) AS guesses,
                   sum(guessed) AS guessed
            FROM tally WHERE tally.run = p_run GROUP BY state, wanted HAVING sum(jobs) > 0
        ) AS sums), '[]'),
        'awaits_cost', EXISTS (SELECT 1 FROM job WHERE job.run = p_run AND cost IS NOT NULL AND NOT cost_known
            AND request_id IS NOT NULL AND state IN ('fetched', 'done', 'failed', 'uncollected', 'cancelled'))
    ) FROM run WHERE run.id = p_run
$$;

-- Was this very change written before? A change is sent again when the answer to its COMMIT was lost.
CREATE FUNCTION is_written(p_run bigint, p_worker bigint, change jsonb) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT 1 FROM event WHERE run = p_run AND job = (change->>'id')::bigint
        AND serial = (change->>'serial')::bigint + 1 AND worker = p_worker
        AND mark = (change->>'mark')::bigint)
$$;

-- One change. Compare-and-set on serial, and an event. The verdict's first word: written, late (written, though somebody else
-- had moved the job; then its serial), again (written before), stale, past, known (then the owner), quarantine (then seconds),
-- orphan.
CREATE FUNCTION write_change(p_run bigint, p_worker bigint, p_lane bigint, change jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    now_there job%ROWTYPE;
    wanted_row job%ROWTYPE := jsonb_populate_record(NULL::job, change);
    what text := change->>'name';
    owner text;
    left_over double precision;
    verdict text := 'written';
BEGIN
    SELECT * INTO now_there FROM job WHERE run = p_run AND id = wanted_row.id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'past';
    END IF;
    IF now_there.serial != wanted_row.serial AND is_written(p_run, p_worker, change) THEN
        RETURN 'again';
    END IF;
    IF now_there.serial < wanted_row.serial THEN
        RETURN 'past';
    END IF;
    IF what = 'Accepted' THEN
        INSERT INTO accepted VALUES (p_run, wanted_row.request_id, wanted_row.id) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT request.name INTO owner FROM accepted JOIN request ON request.run = p_run AND request.id = accepted.job
                WHERE accepted.run = p_run AND accepted.request_id = wanted_row.request_id;
            RETURN 'known ' || coalesce(owner, 'a job that is not in the ledger any more');
        END IF;
    END IF;
    IF what IN ('Accepted', 'Declined') AND now_there.serial != wanted_row.serial THEN
        -- The sender's lease was over and somebody else took it for lost. It is the same purchase if its intention is.
        IF now_there.state = 'in_doubt' AND now_there.submitted_at = wanted_row.submitted_at THEN
            wanted_row.serial := now_there.serial;
            verdict := 'late ' || now_there.serial + 1;
        ELSIF what = 'Accepted' THEN
            INSERT INTO orphan (run, job, request_id, worker, stood, data)
                VALUES (p_run, wanted_row.id, wanted_row.request_id, p_worker, now_there.state, change->>'data');
            RETURN 'orphan ' || now_there.state;
        END IF;
    END IF;
    IF now_there.serial != wanted_row.serial THEN
        RETURN 'stale';
    END IF;
    IF what = 'Released' AND now_there.quarantine > clock_timestamp() THEN
        left_over := extract(epoch FROM now_there.quarantine - clock_timestamp());
        RETURN 'quarantine ' || ceil(left_over);
    END IF;
    UPDATE job SET
        state = wanted_row.state, serial = now_there.serial + 1, writer = p_worker * 2 + p_lane, quarantine = NULL,
        worker = CASE WHEN wanted_row.state IN ('submitting', 'waiting', 'cancelling', 'fetched') AND alive(p_worker)
            THEN p_worker WHEN wanted_row.state = 'planned' AND what = 'Declined' THEN now_there.worker END,
        leave = greatest(0, now_there.leave - (what = 'Reserved')::int + (what = 'Declined')::int),
        attempts = wanted_row.attempts, due_at = wanted_row.due_at, held = wanted_row.held, cost = wanted_row.cost,
        cost_known = wanted_row.cost_known, sunk = wanted_row.sunk, request_id = wanted_row.request_id,
        status_url = wanted_row.status_url, result_url = wanted_row.result_url, cancel_url = wanted_row.cancel_url,
        outputs = wanted_row.outputs, files = wanted_row.files, kind = wanted_row.kind, problem = wanted_row.problem,
        http = wanted_row.http, code = wanted_row.code, submitted_at = wanted_row.submitted_at,
        accepted_at = wanted_row.accepted_at, finished_at = wanted_row.finished_at
        WHERE run = p_run AND id = wanted_row.id;
    INSERT INTO event (run, job, serial, worker, mark, at, name, state, data) VALUES (p_run, wanted_row.id,
        now_there.serial + 1, p_worker, (change->>'mark')::bigint, (change->>'at')::float8, what, wanted_row.state, change->>'data');
    IF (change->>'told')::bigint > 0 THEN
        UPDATE run SET top_price = (change->>'told')::bigint WHERE id = p_run AND top_price < (change->>'told')::bigint;
    END IF;
    IF what = 'Reused' THEN
        INSERT INTO accepted VALUES (p_run, wanted_row.request_id, wanted_row.id) ON CONFLICT DO NOTHING;
        INSERT INTO reused VALUES (p_run, wanted_row.id, change->>'folder');
        UPDATE run SET reused = reused + 1 WHERE id = p_run;
    END IF;
    RETURN verdict;
END $$;

-- Changes but reservations: what has happened is written down, whoever's lease is over.
CREATE FUNCTION save(p_run bigint, p_worker bigint, changes jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    change jsonb;
    verdicts jsonb := '[]';
BEGIN
    FOR change IN SELECT * FROM jsonb_array_elements(changes) LOOP
        IF change->>'name' = 'Reserved' AND NOT coalesce((change->>'bought')::boolean, false) THEN
            RAISE EXCEPTION 'a reservation goes through reserve()';
        END IF;
        verdicts := verdicts || to_jsonb(write_change(p_run, p_worker, 1, change));
    END LOOP;
    RETURN jsonb_build_object('verdicts', verdicts, 'standing', standing(p_run));
END $$;

-- Whose money a run spends: the token that it is bought with now.
CREATE FUNCTION account_of(p_run bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT substring(value FROM '[^ ]+$') FROM fact WHERE run = p_run AND name = 'accounts'
$$;

-- What the account's runs have spent, or may come to with what is under way, and how many jobs are: all but p_but's money.
CREATE FUNCTION account_stands(p_account text, p_but bigint) RETURNS TABLE (exposed bigint, busy bigint)
LANGUAGE sql AS $$
    SELECT coalesce(sum(spent + greatest(held, under_way * top_price) + greatest(0, guesses * top_price - guessed))
            FILTER (WHERE id != p_but), 0)::bigint, coalesce(sum(flying), 0)::bigint
    FROM (
        SELECT run.id, run.top_price, sum(spent) AS spent, sum(held) AS held, sum(guesses) AS guesses, sum(guessed) AS guessed,
            sum(jobs) FILTER (WHERE state IN ('submitting', 'waiting', 'cancelling')) AS flying,
            coalesce(sum(jobs) FILTER (WHERE state IN ('submitting', 'waiting', 'cancelling', 'in_doubt')
                OR (state = 'uncollected' AND tally.held > 0)), 0) AS under_way
        FROM run JOIN tally ON tally.run = run.id WHERE account_of(run.id) = p_account GROUP BY run.id
    ) AS runs
$$;

-- Money put aside and intentions written: account and run locked, lease, sums, cap and leave checked, all in one transaction. Verdicts
-- besides those of write_change: budget, account (then its cap, and what others may come to), places (then how many there
-- are), lease, halted (then why), unasked.
CREATE FUNCTION reserve(p_run bigint, p_worker bigint, changes jsonb, believes boolean, earlier bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    change jsonb;
    verdicts jsonb := '[]';
    verdict text;
    this run%ROWTYPE;
    purse record;
    awaits boolean := false;
    shared account%ROWTYPE;
    others record;
    cap bigint;
BEGIN
    SELECT * INTO shared FROM account WHERE account = account_of(p_run) FOR UPDATE;
    SELECT * INTO STRICT this FROM run WHERE id = p_run FOR UPDATE;
    -- Adoption takes this row FOR UPDATE: it waits for this transaction, or this one finds the worker gone.
    PERFORM 1 FROM worker WHERE id = p_worker FOR KEY SHARE;
    -- A statement behind the lock sees what everybody before has committed.
    SELECT coalesce(sum(spent), 0)::bigint AS spent, coalesce(sum(held), 0)::bigint AS held,
        coalesce(sum(guesses), 0)::bigint AS guesses, coalesce(sum(guessed), 0)::bigint AS guessed,
        coalesce(sum(jobs) FILTER (WHERE state IN ('submitting', 'waiting', 'cancelling')), 0)::bigint AS in_flight,
        coalesce(sum(jobs) FILTER (WHERE state = 'in_doubt'), 0)::bigint AS doubts,
        coalesce(sum(jobs) FILTER (WHERE state = 'uncollected'), 0)::bigint AS uncollected,
        coalesce(sum(held) FILTER (WHERE state = 'uncollected'), 0) AS uncollected_held,
        coalesce(sum(jobs - guesses) FILTER (WHERE state IN ('fetched', 'done')), 0) > this.reused
            OR believes OR earlier > 0 AS settled
        INTO purse FROM tally WHERE run = p_run;
    SELECT 0::bigint AS exposed, 0::bigint AS busy INTO others;
    IF shared.account IS NOT NULL THEN
        SELECT * INTO others FROM account_stands(shared.account, p_run);
    END IF;
    cap := least(this.max_cost, shared.max_cost - others.exposed);  -- which leaves out what is NULL
    IF purse.uncollected_held = 0 THEN
        purse.uncollected := 0;
    END IF;
    IF purse.guesses > 0 AND NOT purse.settled THEN
        awaits := (standing(p_run)->>'awaits_cost')::boolean;
    END IF;
    FOR change IN SELECT * FROM jsonb_array_elements(changes) LOOP
        IF is_written(p_run, p_worker, change) THEN
            verdict := 'again';
        ELSIF NOT alive(p_worker) THEN
            verdict := 'lease';
        ELSIF this.halted IS NOT NULL THEN
            verdict := 'halted ' || this.halted;
        ELSIF NOT admits(this.max_cost, (change->>'price')::bigint, purse.spent, purse.held, purse.in_flight,
                purse.doubts, purse.uncollected, purse.guesses, purse.guessed, greatest(this.top_price, earlier),
                purse.settled, awaits) THEN
            verdict := 'budget';
        ELSIF NOT admits(cap, (change->>'price')::bigint, purse.spent, purse.held, purse.in_flight,
                purse.doubts, purse.uncollected, purse.guesses, purse.guessed, greatest(this.top_price, earlier),
                purse.settled, awaits) THEN
            verdict := format('account %s %s', shared.max_cost, others.exposed);
        ELSIF others.busy >= shared.in_flight THEN
            verdict := 'places ' || shared.in_flight;
        ELSIF (SELECT leave = 0 FROM job WHERE run = p_run AND id = (change->>'id')::bigint) THEN
            verdict := 'unasked';
        ELSE
            verdict := write_change(p_run, p_worker, 0, change);
            IF verdict = 'written' THEN
                purse.held := purse.held + (change->>'price')::bigint;
                purse.in_flight := purse.in_flight + 1;
                others.busy := others.busy + 1;
            END IF;
        END IF;
        verdicts := verdicts || to_jsonb(verdict);
    END LOOP;
    RETURN jsonb_build_object('verdicts', verdicts, 'standing', standing(p_run));
END $$;

CREATE FUNCTION enter(p_name text) RETURNS TABLE (worker bigint, lease_seconds double precision)
LANGUAGE sql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
    INSERT INTO worker (name, lease_until)
        SELECT p_name, clock_timestamp() + make_interval(secs => store.lease_seconds) FROM store
        RETURNING id, (SELECT store.lease_seconds FROM store)
$$;

-- The lease goes on; false if it can't, because the worker is taken for dead. anew: over a new connection.
CREATE FUNCTION beat(p_worker bigint, anew boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
BEGIN
    UPDATE worker SET heard = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => (SELECT store.lease_seconds FROM store)),
        connected = CASE WHEN anew THEN clock_timestamp() ELSE connected END
        WHERE id = p_worker AND NOT gone;
    RETURN FOUND;
END $$;

-- What a worker that is gone was doing: a POST that may be on its way is in doubt, the rest is anybody's.
CREATE FUNCTION let_go(p_gone bigint, p_by bigint, why text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    told text := json_build_object('at', extract(epoch FROM clock_timestamp()), 'problem', json_build_object(
        'kind', 'lost', 'message', why, 'http', NULL, 'code', NULL), 'reply', '')::text;
    changed bigint;
BEGIN
    PERFORM 1 FROM job WHERE worker = p_gone ORDER BY run, id FOR UPDATE;
    INSERT INTO event (run, job, serial, worker, mark, at, name, state, data)
        SELECT run, id, serial + 1, p_by, 0, extract(epoch FROM clock_timestamp()), 'Lost', 'in_doubt', told
        FROM job WHERE worker = p_gone AND state = 'submitting';
    -- Who was to buy a planned job is kept from it by its lease.
    UPDATE job SET serial = serial + (state != 'planned')::int, writer = p_by * 2 + 1, worker = NULL,
        state = CASE WHEN state = 'submitting' THEN 'in_doubt' ELSE state END,
        kind = CASE WHEN state = 'submitting' THEN 'lost' ELSE kind END,
        problem = CASE WHEN state = 'submitting' THEN why ELSE problem END,
        http = CASE WHEN state != 'submitting' THEN http END, code = CASE WHEN state != 'submitting' THEN code END,
        quarantine = CASE WHEN state = 'submitting' THEN (SELECT written_at FROM event WHERE event.run = job.run
            AND event.job = job.id AND event.serial = job.serial) + make_interval(secs => 180 + 60 + store.lease_seconds) END
        FROM store WHERE worker = p_gone;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;

-- Take from the dead: whose lease is over is gone for ever. Nobody does so within a lease of its own connection, or of the
-- database's start: after an outage all leases are over, and all workers alive. Returns how many are gone now.
CREATE FUNCTION adopt(p_worker bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    lease interval := (SELECT make_interval(secs => store.lease_seconds) FROM store);
    dead record;
    found_dead bigint := 0;
BEGIN
    IF NOT alive(p_worker) OR pg_postmaster_start_time() + lease > clock_timestamp()
            OR (SELECT connected + lease > clock_timestamp() FROM worker WHERE id = p_worker) THEN
        RETURN 0;
    END IF;
    FOR dead IN SELECT id, name FROM worker WHERE NOT gone AND lease_until < clock_timestamp() AND id != p_worker
            ORDER BY id FOR UPDATE SKIP LOCKED LOOP
        UPDATE worker SET gone = true WHERE id = dead.id;
        PERFORM let_go(dead.id, p_worker,
            format('the worker %s was not heard of any more while it was sending this job', dead.name));
        found_dead := found_dead + 1;
    END LOOP;
    RETURN found_dead;
END $$;

-- A worker ends in order: what it has is left to others.
CREATE FUNCTION quit(p_worker bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
BEGIN
    PERFORM 1 FROM worker WHERE id = p_worker AND NOT gone FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE worker SET gone = true, heard = clock_timestamp() WHERE id = p_worker;
    RETURN let_go(p_worker, p_worker, 'the worker ended between sending this job and hearing the answer');
END $$;

-- Planned jobs that a person said yes to and nobody has; the caller has them now. p_local: also those with local pictures.
-- MATERIALIZED: else the planner may run the limited query once a row, and claim them all.
CREATE FUNCTION claim(p_run bigint, p_worker bigint, most integer, p_local boolean) RETURNS SETOF bigint
LANGUAGE sql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
    WITH free AS MATERIALIZED (
        SELECT id FROM job WHERE run = p_run AND state = 'planned' AND worker IS NULL AND wanted AND leave > 0
            AND (p_local OR NOT local) ORDER BY id LIMIT most FOR UPDATE SKIP LOCKED
    ), mine AS (
        UPDATE job SET worker = p_worker FROM free WHERE job.run = p_run AND job.id = free.id AND alive(p_worker)
            RETURNING job.id
    )
    SELECT id FROM mine ORDER BY id
$$;

-- Bought jobs that nobody looks after; the caller does now. Their serial goes up: who had them before is fenced.
CREATE FUNCTION claim_bought(p_run bigint, p_worker bigint, most integer) RETURNS SETOF bigint
LANGUAGE sql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
    WITH free AS MATERIALIZED (
        SELECT id FROM job WHERE run = p_run AND state IN ('waiting', 'cancelling', 'fetched') AND worker IS NULL
            ORDER BY id LIMIT most FOR UPDATE SKIP LOCKED
    ), mine AS (
        UPDATE job SET worker = p_worker, serial = serial + 1 FROM free
            WHERE job.run = p_run AND job.id = free.id AND alive(p_worker) RETURNING job.id
    )
    SELECT id FROM mine ORDER BY id
$$;

-- The ledger has gone back in time: it holds less than a worker has had confirmed. Nothing is bought until a person looks.
CREATE FUNCTION halt(p_run bigint, why text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
    WITH halted AS (UPDATE run SET halted = why WHERE id = p_run AND halted IS NULL RETURNING id)
    INSERT INTO run_event (run, at, name, data)
        SELECT id, extract(epoch FROM clock_timestamp()), 'Halted', json_build_object('why', why)::text FROM halted
$$;
