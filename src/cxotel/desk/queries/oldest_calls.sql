-- Calls and traces at rest, the oldest first; what runs or is held has a due time.
SELECT trace_id, is_call, spans, last_received FROM call
WHERE due IS NULL AND frozen = 0 AND last_received < ? ORDER BY last_received LIMIT ?
