-- A checkpoint as the first edition left it: jobs that ended in each way that means something else today.
PRAGMA application_id = 1650553955;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE events (
    seq   INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL,
    at    REAL    NOT NULL,
    name  TEXT    NOT NULL,
    state TEXT    NOT NULL,                   -- the state it led to
    data  TEXT    NOT NULL                    -- JSON: the event's fields
) STRICT;
INSERT INTO "events" VALUES(1,1,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(2,1,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-1","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(3,1,110.0,'Completed','fetched','{"at":110,"outputs":[{"url":"https://files.runcomfy.net/1.png","kind":"image"}],"cost":40000}');
INSERT INTO "events" VALUES(4,1,111.0,'Saved','done','{"at":111,"files":[{"path":"files/job-1.png","sha256":"abababababababababababababababababababababababababababababababab","bytes":10,"width":1,"height":1,"url":"https://files.runcomfy.net/1.png"}]}');
INSERT INTO "events" VALUES(5,2,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(6,2,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-2","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(7,3,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(8,3,101.0,'Lost','in_doubt','{"at":101,"problem":{"kind":"lost","message":"HTTP 502 and no request id: it may have been bought, or not","http":502,"code":null}}');
INSERT INTO "events" VALUES(9,4,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(10,4,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-4","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(11,4,130.0,'Gone','failed','{"at":130,"problem":{"kind":"not_found","message":"the service does not know this request","http":404,"code":404001}}');
INSERT INTO "events" VALUES(12,5,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(13,5,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-5","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(14,5,130.0,'Gone','failed','{"at":130,"problem":{"kind":"not_found","message":"the service does not know this request","http":404,"code":404001}}');
INSERT INTO "events" VALUES(15,5,200.0,'RetryAsked','planned','{"at":200}');
INSERT INTO "events" VALUES(16,5,201.0,'Reserved','submitting','{"at":201,"price":40000}');
INSERT INTO "events" VALUES(17,5,202.0,'Accepted','waiting','{"at":202,"handle":{"request_id":"req-5-again","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(18,5,210.0,'Completed','fetched','{"at":210,"outputs":[{"url":"https://files.runcomfy.net/1.png","kind":"image"}],"cost":40000}');
INSERT INTO "events" VALUES(19,5,211.0,'Saved','done','{"at":211,"files":[{"path":"files/job-5.png","sha256":"abababababababababababababababababababababababababababababababab","bytes":10,"width":1,"height":1,"url":"https://files.runcomfy.net/1.png"}]}');
INSERT INTO "events" VALUES(20,6,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(21,6,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-6","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(22,6,130.0,'Gone','failed','{"at":130,"problem":{"kind":"not_found","message":"the service does not know this request","http":404,"code":404001}}');
INSERT INTO "events" VALUES(23,6,140.0,'Priced','failed','{"at":140,"cost":50000}');
INSERT INTO "events" VALUES(24,7,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(25,7,101.0,'Lost','in_doubt','{"at":101,"problem":{"kind":"lost","message":"HTTP 502 and no request id: it may have been bought, or not","http":502,"code":null}}');
INSERT INTO "events" VALUES(26,7,150.0,'WrittenOff','failed','{"at":150,"by":"by hand: batchedit doubt"}');
INSERT INTO "events" VALUES(27,8,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(28,8,101.0,'Lost','in_doubt','{"at":101,"problem":{"kind":"lost","message":"HTTP 502 and no request id: it may have been bought, or not","http":502,"code":null}}');
INSERT INTO "events" VALUES(29,8,150.0,'WrittenOff','failed','{"at":150,"by":"by hand: batchedit doubt"}');
INSERT INTO "events" VALUES(30,8,160.0,'RetryAsked','planned','{"at":160}');
INSERT INTO "events" VALUES(31,8,170.0,'Reserved','submitting','{"at":170,"price":40000}');
INSERT INTO "events" VALUES(32,8,171.0,'Accepted','waiting','{"at":171,"handle":{"request_id":"req-8","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(33,8,180.0,'Errored','failed','{"at":180,"problem":{"kind":"failed","message":"no","http":null,"code":null},"cost":null}');
INSERT INTO "events" VALUES(34,9,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(35,9,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-9","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(36,9,102.0,'CancelAsked','cancelling','{"at":102}');
INSERT INTO "events" VALUES(37,9,103.0,'CancelConfirmed','cancelled','{"at":103}');
INSERT INTO "events" VALUES(38,10,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(39,10,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-10","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(40,10,103.0,'CancelConfirmed','cancelled','{"at":103}');
INSERT INTO "events" VALUES(41,10,104.0,'RetryAsked','planned','{"at":104}');
INSERT INTO "events" VALUES(42,10,105.0,'Reserved','submitting','{"at":105,"price":40000}');
INSERT INTO "events" VALUES(43,10,106.0,'Accepted','waiting','{"at":106,"handle":{"request_id":"req-10-again","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(44,10,110.0,'CancelConfirmed','cancelled','{"at":110}');
INSERT INTO "events" VALUES(45,11,100.0,'Reserved','submitting','{"at":100,"price":40000}');
INSERT INTO "events" VALUES(46,11,101.0,'Accepted','waiting','{"at":101,"handle":{"request_id":"req-11","status_url":"","result_url":"","cancel_url":""},"by":"service"}');
INSERT INTO "events" VALUES(47,11,110.0,'Completed','fetched','{"at":110,"outputs":[{"url":"https://files.runcomfy.net/1.png","kind":"image"}],"cost":null}');
INSERT INTO "events" VALUES(48,11,112.0,'CancelConfirmed','uncollected','{"at":112}');
CREATE TABLE flags (
    job   INTEGER PRIMARY KEY,
    flags TEXT NOT NULL                       -- words set apart by blanks: wrong_ratio tiny one_colour like_row_7 like_input unreadable
) STRICT;
CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY,
    key          BLOB    NOT NULL CHECK (length(key) = 16),
    slot         INTEGER NOT NULL,            -- digest of the name without its version: what an edit keeps
    inputs       TEXT    NOT NULL,            -- canonical JSON
    name         TEXT    NOT NULL,            -- the file's path below files/, without its ending
    size         TEXT    NOT NULL,
    variant      INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    wanted       INTEGER NOT NULL CHECK (wanted = 1 OR wanted = 0),  -- 0: no row of the manifest asks for it now
    state        TEXT    NOT NULL CHECK (state = 'planned' OR state IN (
        'submitting', 'in_doubt', 'waiting', 'cancelling', 'fetched', 'uncollected', 'done', 'failed', 'cancelled')),
    serial       INTEGER NOT NULL DEFAULT 0,  -- compare-and-set
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       REAL    NOT NULL DEFAULT 0,
    held         INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),  -- micro-dollars reserved for the purchase under way
    cost         INTEGER CHECK (cost >= 0),                     -- what it came to
    cost_known   INTEGER NOT NULL DEFAULT 0,
    sunk         INTEGER NOT NULL DEFAULT 0 CHECK (sunk >= 0),  -- what earlier purchases of this job came to, or may have
    request_id   TEXT,
    status_url   TEXT,
    result_url   TEXT,
    cancel_url   TEXT,
    outputs      TEXT,                        -- JSON: [[url, kind], ...]
    files        TEXT,                        -- JSON: [[path, sha256, bytes, width, height, url], ...]
    kind         TEXT,
    problem      TEXT,
    http         INTEGER,
    code         INTEGER,
    submitted_at REAL,
    accepted_at  REAL,
    finished_at  REAL,
    -- What the states mean, held by the store and not by good will. The cheap question stands first: SQLite makes a list
    -- behind IN anew for every row, and a planned row has passed before it (5 µs a row of intake).
    CHECK (state = 'planned' OR request_id IS NOT NULL OR state NOT IN ('waiting', 'cancelling', 'fetched', 'uncollected', 'done')),
    CHECK (state != 'submitting' OR submitted_at IS NOT NULL),
    CHECK (state != 'done' OR files IS NOT NULL),
    CHECK (held = 0 OR state NOT IN ('planned', 'done', 'failed', 'cancelled'))
) STRICT;
INSERT INTO "jobs" VALUES(1,X'00000000000000000000000000000001',1,'{"image":["https://images.example.com/1.png"],"prompt":"an ad, 1","size":"1:1"}','job-1','1:1',1,0,1,1,'done',4,0,0.0,0,40000,1,0,'req-1','','','','[["https://files.runcomfy.net/1.png","image"]]','[["files/job-1.png","abababababababababababababababababababababababababababababababab",10,1,1,"https://files.runcomfy.net/1.png"]]',NULL,NULL,NULL,NULL,100.0,101.0,110.0);
INSERT INTO "jobs" VALUES(2,X'00000000000000000000000000000002',2,'{"image":["https://images.example.com/2.png"],"prompt":"an ad, 2","size":"1:1"}','job-2','1:1',1,0,1,1,'waiting',2,0,0.0,40000,NULL,0,0,'req-2','','','',NULL,NULL,NULL,NULL,NULL,NULL,100.0,101.0,NULL);
INSERT INTO "jobs" VALUES(3,X'00000000000000000000000000000003',3,'{"image":["https://images.example.com/3.png"],"prompt":"an ad, 3","size":"1:1"}','job-3','1:1',1,0,1,1,'in_doubt',2,0,0.0,40000,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'lost','HTTP 502 and no request id: it may have been bought, or not',502,NULL,100.0,NULL,NULL);
INSERT INTO "jobs" VALUES(4,X'00000000000000000000000000000004',4,'{"image":["https://images.example.com/4.png"],"prompt":"an ad, 4","size":"1:1"}','job-4','1:1',1,0,1,1,'failed',3,0,0.0,0,40000,0,0,'req-4','','','',NULL,NULL,'not_found','the service does not know this request',404,404001,100.0,101.0,130.0);
INSERT INTO "jobs" VALUES(5,X'00000000000000000000000000000005',5,'{"image":["https://images.example.com/5.png"],"prompt":"an ad, 5","size":"1:1"}','job-5','1:1',1,0,1,1,'done',8,0,0.0,0,40000,1,40000,'req-5-again','','','','[["https://files.runcomfy.net/1.png","image"]]','[["files/job-5.png","abababababababababababababababababababababababababababababababab",10,1,1,"https://files.runcomfy.net/1.png"]]',NULL,NULL,NULL,NULL,201.0,202.0,210.0);
INSERT INTO "jobs" VALUES(6,X'00000000000000000000000000000006',6,'{"image":["https://images.example.com/6.png"],"prompt":"an ad, 6","size":"1:1"}','job-6','1:1',1,0,1,1,'failed',4,0,0.0,0,50000,1,0,'req-6','','','',NULL,NULL,'not_found','the service does not know this request',404,404001,100.0,101.0,130.0);
INSERT INTO "jobs" VALUES(7,X'00000000000000000000000000000007',7,'{"image":["https://images.example.com/7.png"],"prompt":"an ad, 7","size":"1:1"}','job-7','1:1',1,0,1,1,'failed',3,0,0.0,0,40000,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'lost','HTTP 502 and no request id: it may have been bought, or not',502,NULL,100.0,NULL,150.0);
INSERT INTO "jobs" VALUES(8,X'00000000000000000000000000000008',8,'{"image":["https://images.example.com/8.png"],"prompt":"an ad, 8","size":"1:1"}','job-8','1:1',1,0,1,1,'failed',7,0,0.0,0,40000,0,40000,'req-8','','','',NULL,NULL,'failed','no',NULL,NULL,170.0,171.0,180.0);
INSERT INTO "jobs" VALUES(9,X'00000000000000000000000000000009',9,'{"image":["https://images.example.com/9.png"],"prompt":"an ad, 9","size":"1:1"}','job-9','1:1',1,0,1,1,'cancelled',4,0,0.0,0,NULL,0,0,'req-9','','','',NULL,NULL,'cancelled','cancelled while it was still queued; nothing was charged',NULL,NULL,100.0,101.0,103.0);
INSERT INTO "jobs" VALUES(10,X'0000000000000000000000000000000A',10,'{"image":["https://images.example.com/10.png"],"prompt":"an ad, 10","size":"1:1"}','job-10','1:1',1,0,1,1,'cancelled',7,0,0.0,0,NULL,0,0,'req-10-again','','','',NULL,NULL,'cancelled','cancelled while it was still queued; nothing was charged',NULL,NULL,105.0,106.0,110.0);
INSERT INTO "jobs" VALUES(11,X'0000000000000000000000000000000B',11,'{"image":["https://images.example.com/11.png"],"prompt":"an ad, 11","size":"1:1"}','job-11','1:1',1,0,1,1,'uncollected',4,0,0.0,0,40000,0,0,'req-11','','','','[["https://files.runcomfy.net/1.png","image"]]',NULL,NULL,NULL,NULL,NULL,100.0,101.0,110.0);
CREATE TABLE "lines" (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, id TEXT NOT NULL, job INTEGER, problems TEXT, over TEXT
    ) STRICT
;
INSERT INTO "lines" VALUES(1,11,'sku-1',1,NULL,NULL);
INSERT INTO "lines" VALUES(2,12,'sku-2',2,NULL,NULL);
INSERT INTO "lines" VALUES(3,13,'sku-3',3,NULL,NULL);
INSERT INTO "lines" VALUES(4,14,'sku-4',4,NULL,NULL);
INSERT INTO "lines" VALUES(5,15,'sku-5',5,NULL,NULL);
INSERT INTO "lines" VALUES(6,16,'sku-6',6,NULL,NULL);
INSERT INTO "lines" VALUES(7,17,'sku-7',7,NULL,NULL);
INSERT INTO "lines" VALUES(8,18,'sku-8',8,NULL,NULL);
INSERT INTO "lines" VALUES(9,19,'sku-9',9,NULL,NULL);
INSERT INTO "lines" VALUES(10,20,'sku-10',10,NULL,NULL);
INSERT INTO "lines" VALUES(11,21,'sku-11',11,NULL,NULL);
CREATE TABLE mark_events (
    seq     INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL,
    serial  INTEGER NOT NULL,
    verdict TEXT    NOT NULL,
    note    TEXT    NOT NULL,
    who     TEXT    NOT NULL,
    at      REAL    NOT NULL,
    via     TEXT    NOT NULL                  -- review, or import
) STRICT;
CREATE TABLE marks (
    job     INTEGER PRIMARY KEY,
    verdict TEXT    NOT NULL CHECK (verdict IN ('', 'approve', 'reject', 'hold')),  -- '': undone, or only a note
    note    TEXT    NOT NULL,
    serial  INTEGER NOT NULL CHECK (serial > 0),                                    -- compare-and-set
    who     TEXT    NOT NULL,
    at      REAL    NOT NULL
) STRICT;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('committed_id','11');
INSERT INTO "meta" VALUES('fingerprint','f');
INSERT INTO "meta" VALUES('model','openai/gpt-4o-image/edit');
INSERT INTO "meta" VALUES('service','sandbox');
INSERT INTO "meta" VALUES('top_price','50000');
CREATE TABLE redone (
    job    INTEGER PRIMARY KEY,
    by_job INTEGER NOT NULL UNIQUE CHECK (by_job > job)
) STRICT;
CREATE TABLE tally (
    state  TEXT    NOT NULL,
    wanted INTEGER NOT NULL,
    jobs   INTEGER NOT NULL DEFAULT 0,
    spent  INTEGER NOT NULL DEFAULT 0,
    held   INTEGER NOT NULL DEFAULT 0,
    guesses INTEGER NOT NULL DEFAULT 0,       -- jobs that are over and whose cost nobody has named
    guessed INTEGER NOT NULL DEFAULT 0,       -- what they are taken to have cost, part of spent
    PRIMARY KEY (state, wanted)
) STRICT, WITHOUT ROWID;
INSERT INTO "tally" VALUES('cancelled',1,2,0,0,0,0);
INSERT INTO "tally" VALUES('cancelling',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('done',1,2,120000,0,0,0);
INSERT INTO "tally" VALUES('failed',1,4,210000,0,3,120000);
INSERT INTO "tally" VALUES('fetched',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('in_doubt',1,1,0,40000,0,0);
INSERT INTO "tally" VALUES('planned',0,0,0,0,0,0);
INSERT INTO "tally" VALUES('planned',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('submitting',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('uncollected',1,1,40000,0,1,40000);
INSERT INTO "tally" VALUES('waiting',1,1,0,40000,0,0);
CREATE INDEX jobs_to_buy ON jobs (wanted, id) WHERE state = 'planned';
CREATE INDEX jobs_open ON jobs (state, id) WHERE state NOT IN ('planned', 'done');
CREATE INDEX jobs_unpriced ON jobs (id) WHERE cost IS NOT NULL AND NOT cost_known;
CREATE INDEX jobs_seconds ON jobs (finished_at - submitted_at) WHERE state = 'done' AND wanted = 1;
CREATE TRIGGER events_only_grow_update BEFORE UPDATE ON events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_only_grow_delete BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE TRIGGER jobs_tally AFTER UPDATE OF state, wanted, held, cost, cost_known, sunk ON jobs BEGIN
    UPDATE tally SET jobs = jobs - 1, spent = spent - old.sunk - coalesce(old.cost, 0), held = held - old.held,
        guesses = guesses - (old.cost IS NOT NULL AND NOT old.cost_known),
        guessed = guessed - iif(old.cost_known, 0, coalesce(old.cost, 0))
        WHERE state = old.state AND wanted = old.wanted;
    INSERT INTO tally (state, wanted, jobs, spent, held, guesses, guessed)
        VALUES (new.state, new.wanted, 1, new.sunk + coalesce(new.cost, 0), new.held,
            new.cost IS NOT NULL AND NOT new.cost_known, iif(new.cost_known, 0, coalesce(new.cost, 0)))
        ON CONFLICT (state, wanted) DO UPDATE SET
            jobs = jobs + 1, spent = spent + excluded.spent, held = held + excluded.held,
            guesses = guesses + excluded.guesses, guessed = guessed + excluded.guessed;
END;
CREATE TRIGGER mark_events_only_grow_update BEFORE UPDATE ON mark_events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE TRIGGER mark_events_only_grow_delete BEFORE DELETE ON mark_events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE INDEX lines_job ON lines (job);
CREATE UNIQUE INDEX jobs_key ON jobs (key);
CREATE INDEX jobs_slot ON jobs (slot, version);
COMMIT;
