SELECT DISTINCT lower(hex(trace_id)) FROM span
WHERE coalesce((SELECT alias.call FROM alias WHERE alias.trace_id = span.trace_id), span.trace_id)
  NOT IN (SELECT call.trace_id FROM call)
