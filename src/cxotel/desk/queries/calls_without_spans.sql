-- Calls that have received spans and keep none; those that are being deleted have a tombstone.
SELECT lower(hex(trace_id)) FROM call
WHERE spans > 0 AND NOT EXISTS (SELECT 1 FROM span WHERE span.trace_id = call.trace_id)
  AND NOT EXISTS (SELECT 1 FROM alias JOIN span ON span.trace_id = alias.trace_id WHERE alias.call = call.trace_id)
  AND NOT EXISTS (SELECT 1 FROM erased WHERE erased.trace_id = call.trace_id)
