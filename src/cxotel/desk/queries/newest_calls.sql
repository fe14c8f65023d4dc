-- In the order of the list, which has an index.
SELECT trace_id, state, summary, last_received FROM call
WHERE is_call AND started IS NOT NULL ORDER BY started DESC LIMIT ?
