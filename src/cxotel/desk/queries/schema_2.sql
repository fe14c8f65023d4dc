-- From schema 1 to 2: requests wait in the inbox until they are sorted into spans; calls can be looked up by what
-- they went through; the life of a call is that of spec/lifecycle; what is handed on waits in the outbox.

-- Requests that were acknowledged and are not sorted yet, in order.
CREATE TABLE inbox (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  received INTEGER NOT NULL,  -- ns since the epoch
  signal   TEXT NOT NULL,     -- traces, logs, metrics
  data     BLOB NOT NULL,     -- ExportTraceServiceRequest and so on
  spoiled  TEXT NOT NULL      -- JSON: number of refused spans by trace id, of those that are not in data
);

DROP INDEX call_by_due;
DROP INDEX call_by_time;
ALTER TABLE call RENAME TO call_1;

-- One row a trace; is_call once a span of it takes part in a call.
CREATE TABLE call (
  trace_id       BLOB PRIMARY KEY,
  is_call        INTEGER NOT NULL,
  state          TEXT NOT NULL,      -- running, provisional, final, partial, unjudged
  life           TEXT NOT NULL,      -- JSON of impact.lifecycle.Life; "" of a trace that is no call
  spans          INTEGER NOT NULL,   -- received for it, copies included
  first_received INTEGER NOT NULL,
  last_received  INTEGER NOT NULL,
  due            INTEGER,            -- when to look next; NULL: nothing to do until a span comes
  refused        INTEGER NOT NULL DEFAULT 0,
  revision       INTEGER NOT NULL DEFAULT 0,  -- verdicts written, for pages to see that something changed
  corrections    INTEGER NOT NULL DEFAULT 0,
  frozen         INTEGER NOT NULL DEFAULT 0,  -- kept whatever retention says
  started        INTEGER,            -- the call's start and length, ns; NULL until first judged
  length         INTEGER,
  summary        TEXT                -- JSON of what the list shows
) WITHOUT ROWID;
CREATE INDEX call_by_due ON call (due) WHERE due IS NOT NULL;
CREATE INDEX call_by_time ON call (started DESC, trace_id) WHERE is_call AND started IS NOT NULL;
CREATE INDEX call_by_age ON call (last_received) WHERE due IS NULL AND frozen = 0;

-- What is of an origin, to know whether it is still used.
CREATE INDEX span_by_origin ON span (origin);
CREATE INDEX log_by_origin ON log (origin);
CREATE INDEX metric_by_origin ON metric (origin);

-- Calls judged before are looked at once more, so that they can be found; of them nothing is told again.
INSERT INTO call
SELECT trace_id, is_call, state,
  CASE WHEN is_call THEN json_object(
    'first', first_received, 'last', last_received, 'due', 0, 'layered', json('true'),
    'phase', CASE WHEN root_received IS NULL THEN 'live' ELSE 'out' END
  ) ELSE '' END,
  (SELECT count(*) FROM span WHERE span.trace_id = call_1.trace_id),
  first_received, last_received, CASE WHEN is_call THEN first_received END, refused, revision, corrections, 0, started,
  length, summary
FROM call_1;
DROP TABLE call_1;

-- What was sent of a verdict beside the root: the span `call (partial)` or `impact correction`, as
-- ExportTraceServiceRequest.
ALTER TABLE verdict ADD COLUMN told BLOB NOT NULL DEFAULT x'';

-- Other trace ids that mean a call.
CREATE TABLE alias (
  trace_id BLOB PRIMARY KEY,
  root     BLOB NOT NULL,            -- the root span id that goes with it
  call     BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX alias_by_call ON alias (call);

-- Call keys as the spans give them.
CREATE TABLE call_key (
  key      TEXT NOT NULL,
  trace_id BLOB NOT NULL,
  PRIMARY KEY (key, trace_id)
) WITHOUT ROWID;

-- What calls are found by: severity, layer, owner, queue, carrier, ...; each text once.
CREATE TABLE word (
  id    INTEGER PRIMARY KEY,
  kind  TEXT NOT NULL,
  text  TEXT NOT NULL,
  calls INTEGER NOT NULL DEFAULT 0,  -- that have it now
  UNIQUE (kind, text)
);
CREATE TABLE facet (
  word     INTEGER NOT NULL REFERENCES word (id),
  started  INTEGER NOT NULL,
  trace_id BLOB NOT NULL,
  PRIMARY KEY (word, started DESC, trace_id)
) WITHOUT ROWID;
CREATE INDEX facet_by_call ON facet (trace_id);

CREATE TRIGGER facet_added AFTER INSERT ON facet BEGIN
  UPDATE word SET calls = calls + 1 WHERE id = new.word;
END;
CREATE TRIGGER facet_removed AFTER DELETE ON facet BEGIN
  UPDATE word SET calls = calls - 1 WHERE id = old.word;
END;

-- Warnings sent while calls ran, one a layer.
CREATE TABLE warning (
  trace_id BLOB NOT NULL,            -- of the call
  layer    TEXT NOT NULL,
  at       INTEGER NOT NULL,
  message  TEXT NOT NULL,
  spans    BLOB NOT NULL,            -- ExportTraceServiceRequest with the span `impact warning`
  PRIMARY KEY (trace_id, layer)
) WITHOUT ROWID;

-- What is to be handed on, in order; every destination has its own place in it.
CREATE TABLE outbox (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  made   INTEGER NOT NULL,
  signal TEXT NOT NULL,              -- traces, logs, metrics
  items  INTEGER NOT NULL,           -- spans, log records or metrics in it
  data   BLOB NOT NULL               -- ExportTraceServiceRequest and so on
);
CREATE TABLE destination (
  name    TEXT PRIMARY KEY,
  place   INTEGER NOT NULL,          -- the last outbox id that arrived or was given up
  sent    INTEGER NOT NULL DEFAULT 0,     -- items
  dropped INTEGER NOT NULL DEFAULT 0,     -- items given up: refused for good, or the queue was full
  last    INTEGER NOT NULL DEFAULT 0,     -- when last something arrived
  note    TEXT NOT NULL DEFAULT '',       -- the latest trouble, and when that was
  troubled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Erased: what still comes of them is not kept.
CREATE TABLE erased (
  trace_id BLOB PRIMARY KEY,
  at       INTEGER NOT NULL
) WITHOUT ROWID;

-- Traces that are no call, to be counted.
CREATE INDEX call_other ON call (is_call) WHERE NOT is_call;

-- Calls and lost seconds by the minute in which calls started, for what is usual at an hour; kept for 15 days.
CREATE TABLE lost (
  minute  INTEGER NOT NULL,          -- since the epoch
  layer   TEXT NOT NULL,             -- '': all calls
  calls   INTEGER NOT NULL,          -- that lost something there
  seconds REAL NOT NULL,
  PRIMARY KEY (minute, layer)
) WITHOUT ROWID;

CREATE TRIGGER lost_pruned AFTER INSERT ON lost WHEN new.layer = '' BEGIN
  DELETE FROM lost WHERE minute < new.minute - 21600;
END;
CREATE TRIGGER call_judged AFTER UPDATE OF summary ON call
WHEN old.started IS NULL OR old.started != new.started
  OR json_extract(old.summary, '$.charges') != json_extract(new.summary, '$.charges') BEGIN
  UPDATE lost SET calls = calls - 1 WHERE minute = old.started / 60000000000 AND layer = '';
  UPDATE lost SET calls = lost.calls - 1, seconds = lost.seconds - was.value
    FROM json_each(old.summary, '$.charges') AS was
    WHERE lost.minute = old.started / 60000000000 AND lost.layer = was.key;
  INSERT INTO lost SELECT new.started / 60000000000, '', 1, 0 WHERE true
    ON CONFLICT (minute, layer) DO UPDATE SET calls = calls + 1;
  INSERT INTO lost SELECT new.started / 60000000000, key, 1, value FROM json_each(new.summary, '$.charges') WHERE true
    ON CONFLICT (minute, layer) DO UPDATE SET calls = calls + 1, seconds = seconds + excluded.seconds;
END;
-- What is no longer kept, or became part of another call, does not count.
CREATE TRIGGER call_gone AFTER DELETE ON call WHEN old.started IS NOT NULL BEGIN
  UPDATE lost SET calls = calls - 1 WHERE minute = old.started / 60000000000 AND layer = '';
  UPDATE lost SET calls = lost.calls - 1, seconds = lost.seconds - was.value
    FROM json_each(old.summary, '$.charges') AS was
    WHERE lost.minute = old.started / 60000000000 AND lost.layer = was.key;
END;
-- Calls judged by the desk before.
INSERT INTO lost
SELECT started / 60000000000, '', count(*), 0 FROM call WHERE started IS NOT NULL GROUP BY 1
UNION ALL
SELECT started / 60000000000, key, count(*), sum(value)
FROM call, json_each(call.summary, '$.charges') WHERE started IS NOT NULL GROUP BY 1, 2;
