-- A checkpoint as the first edition left it: three pictures bought from signed links, with --sandbox.
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
INSERT INTO "events" VALUES(1,1,1.79569117547766065592e+09,'Reserved','submitting','{"at":1795691175.4776607,"price":40000}');
INSERT INTO "events" VALUES(2,2,1795691175.47783,'Reserved','submitting','{"at":1795691175.47783,"price":40000}');
INSERT INTO "events" VALUES(3,3,1.79569117547794294357e+09,'Reserved','submitting','{"at":1795691175.477943,"price":40000}');
INSERT INTO "events" VALUES(4,1,1.79569117549651837348e+09,'Accepted','waiting','{"at":1795691175.4965184,"handle":{"request_id":"c8d87ed1-eb24-4172-9baa-a5580a68d7ad","status_url":"http://127.0.0.1:1/v1/requests/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/status","result_url":"http://127.0.0.1:1/v1/requests/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/result","cancel_url":"http://127.0.0.1:1/v1/requests/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/cancel"},"by":"service"}');
INSERT INTO "events" VALUES(5,2,1795691175.49788,'Accepted','waiting','{"at":1795691175.49788,"handle":{"request_id":"6187dd2d-6c7e-4b7b-88ce-60da10ea7cad","status_url":"http://127.0.0.1:1/v1/requests/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/status","result_url":"http://127.0.0.1:1/v1/requests/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/result","cancel_url":"http://127.0.0.1:1/v1/requests/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/cancel"},"by":"service"}');
INSERT INTO "events" VALUES(6,3,1.79569117549824476239e+09,'Accepted','waiting','{"at":1795691175.4982448,"handle":{"request_id":"3f6daf60-cd8d-4d0e-b9b5-d3da4153518d","status_url":"http://127.0.0.1:1/v1/requests/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/status","result_url":"http://127.0.0.1:1/v1/requests/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/result","cancel_url":"http://127.0.0.1:1/v1/requests/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/cancel"},"by":"service"}');
INSERT INTO "events" VALUES(7,2,1.79569117725250172613e+09,'Completed','fetched','{"at":1795691177.2525017,"outputs":[{"url":"http://127.0.0.1:1/files/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/0.png?generation=0&expires=never&signature=03bdafda74aeaefc953fa60b685333ea498f0944","kind":"image"}],"cost":40000}');
INSERT INTO "events" VALUES(8,2,1.79569117748838853838e+09,'Saved','done','{"at":1795691177.4883885,"files":[{"path":"files/A-1-1x1-1.png","sha256":"adf5d5f6a0d7e819cb2f2821658a2b78cc17894f956d864c074f5bd7ddcfbd3d","bytes":161779,"width":1024,"height":1024,"url":"http://127.0.0.1:1/files/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/0.png?generation=0&expires=never&signature=03bdafda74aeaefc953fa60b685333ea498f0944"}]}');
INSERT INTO "events" VALUES(9,1,1.79569117812923312186e+09,'Completed','fetched','{"at":1795691178.1292331,"outputs":[{"url":"http://127.0.0.1:1/files/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/0.png?generation=0&expires=never&signature=75a3c19cb3ad0a862bca9bf7f7a9ca7aacadc67f","kind":"image"}],"cost":40000}');
INSERT INTO "events" VALUES(10,1,1.79569117836851334575e+09,'Saved','done','{"at":1795691178.3685133,"files":[{"path":"files/A-0-1x1-1.png","sha256":"3fffe453350d1911f2cb0ba280533c10fee675bfd09bc32d3947c28c422b9d62","bytes":151724,"width":1024,"height":1024,"url":"http://127.0.0.1:1/files/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/0.png?generation=0&expires=never&signature=75a3c19cb3ad0a862bca9bf7f7a9ca7aacadc67f"}]}');
INSERT INTO "events" VALUES(11,3,1.79569117887909889224e+09,'Completed','fetched','{"at":1795691178.879099,"outputs":[{"url":"http://127.0.0.1:1/files/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/0.png?generation=0&expires=never&signature=4894c8a2123b6fee1aaaa37514118efd370d7c49","kind":"image"}],"cost":40000}');
INSERT INTO "events" VALUES(12,3,1.79569117910354518886e+09,'Saved','done','{"at":1795691179.1035452,"files":[{"path":"files/A-2-1x1-1.png","sha256":"4e7a4e7506b51b17178fef02bd2e0422d1f941ce08a51a303912f3edf8a32402","bytes":186492,"width":1024,"height":1024,"url":"http://127.0.0.1:1/files/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/0.png?generation=0&expires=never&signature=4894c8a2123b6fee1aaaa37514118efd370d7c49"}]}');
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
INSERT INTO "jobs" VALUES(1,X'71D9BEA462845FD035CD7D05970DBF13',-4107172903688757365,'{"image":["https://bucket.s3.amazonaws.com/p/0.jpg?X-Amz-Date=20260101&X-Amz-Expires=7200&X-Amz-Signature=AAA0"],"prompt":"make an ad 0","size":"1:1"}','A-0-1x1-1','1:1',1,0,1,1,'done',4,0,0.0,0,40000,1,0,'c8d87ed1-eb24-4172-9baa-a5580a68d7ad','http://127.0.0.1:1/v1/requests/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/status','http://127.0.0.1:1/v1/requests/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/result','http://127.0.0.1:1/v1/requests/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/cancel','[["http://127.0.0.1:1/files/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/0.png?generation=0&expires=never&signature=75a3c19cb3ad0a862bca9bf7f7a9ca7aacadc67f","image"]]','[["files/A-0-1x1-1.png","3fffe453350d1911f2cb0ba280533c10fee675bfd09bc32d3947c28c422b9d62",151724,1024,1024,"http://127.0.0.1:1/files/c8d87ed1-eb24-4172-9baa-a5580a68d7ad/0.png?generation=0&expires=never&signature=75a3c19cb3ad0a862bca9bf7f7a9ca7aacadc67f"]]',NULL,NULL,NULL,NULL,1.79569117547766065592e+09,1.79569117549651837348e+09,1.79569117812923312186e+09);
INSERT INTO "jobs" VALUES(2,X'98E3832F199CE959B0441FA22C8E192E',-8563851903117765868,'{"image":["https://bucket.s3.amazonaws.com/p/1.jpg?X-Amz-Date=20260101&X-Amz-Expires=7200&X-Amz-Signature=AAA1"],"prompt":"make an ad 1","size":"1:1"}','A-1-1x1-1','1:1',1,0,1,1,'done',4,0,0.0,0,40000,1,0,'6187dd2d-6c7e-4b7b-88ce-60da10ea7cad','http://127.0.0.1:1/v1/requests/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/status','http://127.0.0.1:1/v1/requests/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/result','http://127.0.0.1:1/v1/requests/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/cancel','[["http://127.0.0.1:1/files/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/0.png?generation=0&expires=never&signature=03bdafda74aeaefc953fa60b685333ea498f0944","image"]]','[["files/A-1-1x1-1.png","adf5d5f6a0d7e819cb2f2821658a2b78cc17894f956d864c074f5bd7ddcfbd3d",161779,1024,1024,"http://127.0.0.1:1/files/6187dd2d-6c7e-4b7b-88ce-60da10ea7cad/0.png?generation=0&expires=never&signature=03bdafda74aeaefc953fa60b685333ea498f0944"]]',NULL,NULL,NULL,NULL,1795691175.47783,1795691175.49788,1.79569117725250172613e+09);
INSERT INTO "jobs" VALUES(3,X'E0AF3A0B1F160F4F6BA621A34D7AF5ED',3995752338214068165,'{"image":["https://cdn.shopify.com/s/files/1/1/products/2.jpg?v=1571711111"],"prompt":"make an ad 2","size":"1:1"}','A-2-1x1-1','1:1',1,0,1,1,'done',4,0,0.0,0,40000,1,0,'3f6daf60-cd8d-4d0e-b9b5-d3da4153518d','http://127.0.0.1:1/v1/requests/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/status','http://127.0.0.1:1/v1/requests/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/result','http://127.0.0.1:1/v1/requests/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/cancel','[["http://127.0.0.1:1/files/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/0.png?generation=0&expires=never&signature=4894c8a2123b6fee1aaaa37514118efd370d7c49","image"]]','[["files/A-2-1x1-1.png","4e7a4e7506b51b17178fef02bd2e0422d1f941ce08a51a303912f3edf8a32402",186492,1024,1024,"http://127.0.0.1:1/files/3f6daf60-cd8d-4d0e-b9b5-d3da4153518d/0.png?generation=0&expires=never&signature=4894c8a2123b6fee1aaaa37514118efd370d7c49"]]',NULL,NULL,NULL,NULL,1.79569117547794294357e+09,1.79569117549824476239e+09,1.79569117887909889224e+09);
CREATE TABLE "lines" (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, id TEXT NOT NULL, job INTEGER, problems TEXT, over TEXT
    ) STRICT
;
INSERT INTO "lines" VALUES(1,1,'A-0',1,NULL,NULL);
INSERT INTO "lines" VALUES(2,2,'A-1',2,NULL,NULL);
INSERT INTO "lines" VALUES(3,3,'A-2',3,NULL,NULL);
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
INSERT INTO "meta" VALUES('committed_id','3');
INSERT INTO "meta" VALUES('fingerprint','1:fe6e6766c8ee37cfeaafa1bb13308f37693ca61180726597e22fa176fce130f7:eee04d9907c2ccd48a1d71797174278cbd450dc45f8842c120513806d43846c5');
INSERT INTO "meta" VALUES('lifetimes','{"v":1,"median":30.0,"n":3,"bins":[[0,0.0,2.98505],[1,0.0,2.98505],[2,0.0,2.98505],[3,0.0,2.98505],[4,0.0,2.98505],[5,0.0,2.98505],[6,0.0,2.98505],[7,0.0,2.98505],[8,0.0,2.98505],[9,0.0,2.98505],[10,0.0,2.98505],[11,0.0,2.98505],[12,0.0,2.98505],[13,0.0,2.98505],[14,0.0,2.98505],[15,0.0,2.98505],[16,0.0,2.98505],[17,0.0,2.98505],[18,0.0,2.98505],[19,0.0,2.98505],[20,0.0,2.98505],[21,0.0,2.98505],[22,0.0,2.98505],[23,0.0,2.98505],[24,0.0,2.98505],[25,0.0,2.98505],[26,0.0,2.98505],[27,0.0,2.98505],[28,0.0,2.98505],[29,0.0,2.98505],[30,0.0,2.98505],[31,0.0,2.98505],[32,0.0,2.98505],[33,0.0,2.98505],[34,0.0,2.98505],[35,0.0,2.98505],[36,0.0,2.98505],[37,0.0,2.98505],[38,0.0,2.98505],[39,0.0,2.98505],[40,0.0,2.98505],[41,0.0,2.98505],[42,0.0,2.98505],[43,0.0,2.98505],[44,0.0,2.98505],[45,0.0,2.98505],[46,0.0,2.98505],[47,0.0,2.98505],[48,0.0,2.98505],[49,0.0,2.98505],[50,0.0,2.98505],[51,0.0,2.98505],[52,0.0,2.98505],[53,0.0,2.98505],[54,0.0,2.98505],[55,0.0,2.98505],[56,0.0,2.98505],[57,0.0,2.98505],[58,0.0,2.98505],[59,0.0,2.98505],[60,0.0,2.98505],[61,0.0,2.98505],[62,0.0,2.98505],[63,0.0,2.98505],[64,0.0,2.98505],[65,0.0,2.98505],[66,0.0,2.98505],[67,0.110443,2.98505],[68,0.125942,2.87461],[69,0.132312,2.74866],[70,0.140858,2.61693],[71,0.158334,2.47881],[72,0.166041,2.32048],[73,0.161086,2.15444],[74,0.0,1.99335],[75,0.0,1.99335],[76,0.0,1.99335],[77,0.0,1.99335],[78,0.0,1.99335],[79,0.27465,1.99488],[80,0.316712,1.72036],[81,0.324924,1.40365],[82,0.0803885,1.07872],[83,0.0,0.998336],[84,0.0,0.998336],[85,0.122539,0.998336],[86,0.636863,0.875797],[87,0.238934,0.238934]]}');
INSERT INTO "meta" VALUES('local_pictures','');
INSERT INTO "meta" VALUES('max_cost','');
INSERT INTO "meta" VALUES('model','openai/gpt-4o-image/edit');
INSERT INTO "meta" VALUES('results_written','12/1:fe6e6766c8ee37cfeaafa1bb13308f37693ca61180726597e22fa176fce130f7:eee04d9907c2ccd48a1d71797174278cbd450dc45f8842c120513806d43846c5/');
INSERT INTO "meta" VALUES('service','sandbox');
INSERT INTO "meta" VALUES('settings','{"model":"openai/gpt-4o-image/edit","schema":null,"prompt":null,"map":{},"set":{},"sizes":[],"variants":1,"over":{},"fill_down":[],"id":null,"name":null,"limit":null,"encoding":null,"delimiter":null,"sheet":null,"image_root":null,"no_shrink":false,"skip_invalid":false,"check_images":false,"out":null,"format":null,"price":null,"concurrency":20,"rate":null,"max_cost":null,"canary":0,"on_doubt":"hold","stop_after_failures":null,"stuck_after":3600.0,"until":null,"poll_seconds":null,"sandbox":true,"base_url":"https://model-api.runcomfy.net","allow_hosts":[],"origins":{"sandbox":"flag"}}');
INSERT INTO "meta" VALUES('source','/sheets/s.csv');
INSERT INTO "meta" VALUES('survey','{"rows":3,"twins":0,"invalid_rows":0,"beyond":0}');
INSERT INTO "meta" VALUES('top_price','40000');
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
INSERT INTO "tally" VALUES('done',1,3,120000,0,0,0);
INSERT INTO "tally" VALUES('fetched',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('planned',0,0,0,0,0,0);
INSERT INTO "tally" VALUES('planned',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('submitting',1,0,0,0,0,0);
INSERT INTO "tally" VALUES('waiting',1,0,0,0,0,0);
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
