-- An absence is never an end. The first edition failed a job whose request the service did not know; such a job was
-- accepted, so it is uncollected, and asked about again. Its money stays where that edition put it.

INSERT INTO events (job, at, name, state, data)
    SELECT job, now, 'Reopened', 'uncollected', json_object('at', now)
    FROM (SELECT job, name, max(seq) FROM events
          WHERE (name = 'Gone' AND state = 'failed') OR name = 'RetryAsked' GROUP BY job),
         (SELECT (julianday('now') - 2440587.5) * 86400.0 AS now)
    WHERE name = 'Gone' AND job IN (SELECT id FROM jobs WHERE state = 'failed')
    ORDER BY job;

UPDATE jobs SET state = 'uncollected', finished_at = NULL, serial = serial + 1
    WHERE id IN (SELECT job FROM events WHERE name = 'Reopened');

-- What a person gave up carries a mark, so that no retry takes it for a failure.

UPDATE jobs SET kind = 'written_off', problem = 'given up; it may have been charged; before that: ' || coalesce(problem, '')
    WHERE state = 'failed' AND id IN (
        SELECT job FROM (SELECT job, name, max(seq) FROM events WHERE name IN ('WrittenOff', 'RetryAsked') GROUP BY job)
        WHERE name = 'WrittenOff'
    );

-- A cancelled job has a cost, which is 0 only where the service or its rules say so. The first edition knew of none.

UPDATE jobs SET cost = 0, cost_known = 1 WHERE state = 'cancelled' AND cost IS NULL;

-- What came in answer to a POST that is in doubt is looked up by its job.

CREATE INDEX events_lost ON events (job) WHERE name = 'Lost';
