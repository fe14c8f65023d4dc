-- Calls that give a key, and the namespace that each says.
SELECT call_key.trace_id, coalesce(json_extract(call.summary, '$.namespace'), '')
FROM call_key LEFT JOIN call ON call.trace_id = call_key.trace_id WHERE key = ?
