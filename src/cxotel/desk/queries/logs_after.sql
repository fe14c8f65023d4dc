-- The next log records in order; whether each is of no call that is kept.
SELECT id, received,
  trace_id IS NULL OR coalesce((SELECT call FROM alias WHERE alias.trace_id = log.trace_id), log.trace_id)
    NOT IN (SELECT call.trace_id FROM call)
FROM log WHERE id > ? ORDER BY id LIMIT ?
