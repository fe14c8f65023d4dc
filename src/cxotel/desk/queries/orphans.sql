-- What belongs to a call that there is none of, by kind.
SELECT 'verdict', lower(hex(trace_id)) FROM verdict WHERE trace_id NOT IN (SELECT call.trace_id FROM call)
UNION SELECT 'word', lower(hex(trace_id)) FROM facet WHERE trace_id NOT IN (SELECT call.trace_id FROM call)
UNION SELECT 'warning', lower(hex(trace_id)) FROM warning WHERE trace_id NOT IN (SELECT call.trace_id FROM call)
UNION SELECT 'key', lower(hex(trace_id)) FROM call_key WHERE trace_id NOT IN (SELECT call.trace_id FROM call)
UNION SELECT 'other trace id', lower(hex(call)) FROM alias WHERE call NOT IN (SELECT call.trace_id FROM call)
