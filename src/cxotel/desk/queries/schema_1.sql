-- Schema 1. What was received is kept as the protobuf bytes it came in, so that no type and no field is lost;
-- the columns beside it are only what queries look for.

CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO setting VALUES ('schema', '1');

-- Where spans, logs and metrics come from: a resource and a scope, each pair once.
CREATE TABLE origin (
  id         INTEGER PRIMARY KEY,
  digest     BLOB NOT NULL UNIQUE,
  resource   BLOB NOT NULL,  -- opentelemetry.proto.resource.v1.Resource
  scope      BLOB NOT NULL,  -- opentelemetry.proto.common.v1.InstrumentationScope
  resource_schema_url TEXT NOT NULL,
  scope_schema_url    TEXT NOT NULL
);

-- A span that came twice alike is kept once; copies that differ are all kept, in the order received.
CREATE TABLE span (
  id       INTEGER PRIMARY KEY,
  trace_id BLOB NOT NULL,
  digest   BLOB NOT NULL,
  origin   INTEGER NOT NULL REFERENCES origin (id),
  received INTEGER NOT NULL,  -- ns since the epoch
  data     BLOB NOT NULL,     -- opentelemetry.proto.trace.v1.Span
  UNIQUE (trace_id, digest)
);

CREATE TABLE log (
  id       INTEGER PRIMARY KEY,
  trace_id BLOB,
  digest   BLOB NOT NULL UNIQUE,
  origin   INTEGER NOT NULL REFERENCES origin (id),
  received INTEGER NOT NULL,
  data     BLOB NOT NULL      -- opentelemetry.proto.logs.v1.LogRecord
);
CREATE INDEX log_by_trace ON log (trace_id) WHERE trace_id IS NOT NULL;

CREATE TABLE metric (
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL,
  digest   BLOB NOT NULL UNIQUE,
  origin   INTEGER NOT NULL REFERENCES origin (id),
  received INTEGER NOT NULL,
  data     BLOB NOT NULL      -- opentelemetry.proto.metrics.v1.Metric
);

-- One row a trace; is_call once a span of it takes part in a call. The life of a call is in judging.py.
CREATE TABLE call (
  trace_id       BLOB PRIMARY KEY,
  is_call        INTEGER NOT NULL,
  state          TEXT NOT NULL,      -- running, provisional, final, partial
  arrivals       INTEGER NOT NULL,   -- batches received for it; a verdict made from fewer is not written
  first_received INTEGER NOT NULL,
  last_received  INTEGER NOT NULL,
  root_received  INTEGER,
  due            INTEGER,            -- when to judge next; NULL: nothing to do until a span comes
  refused        INTEGER NOT NULL DEFAULT 0,
  revision       INTEGER NOT NULL DEFAULT 0,  -- verdicts written, for pages to see that something changed
  corrections    INTEGER NOT NULL DEFAULT 0,
  started        INTEGER,            -- the call's start and length, ns; NULL until first judged
  length         INTEGER,
  summary        TEXT                -- JSON of what the list shows
) WITHOUT ROWID;
CREATE INDEX call_by_due ON call (due) WHERE due IS NOT NULL;
CREATE INDEX call_by_time ON call (started DESC, trace_id) WHERE is_call AND started IS NOT NULL;

-- Verdicts in the order given: number 0 is replaced until it is final, each later one is a correction.
CREATE TABLE verdict (
  trace_id BLOB NOT NULL,
  number   INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  state    TEXT NOT NULL,
  verdict  TEXT NOT NULL,            -- JSON: attributes, evidence, stretches
  spans    BLOB NOT NULL,            -- evidence spans as ExportTraceServiceRequest
  PRIMARY KEY (trace_id, number)
) WITHOUT ROWID;

-- What was received, refused and odd, since the file was made.
CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL,
  last  INTEGER NOT NULL,            -- when last counted
  note  TEXT NOT NULL                -- the latest message
) WITHOUT ROWID;
