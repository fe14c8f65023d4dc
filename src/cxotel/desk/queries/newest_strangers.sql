-- Traces that no call is known of.
SELECT trace_id, count(*) OVER () FROM call
WHERE NOT is_call AND last_received >= ? ORDER BY last_received DESC LIMIT ?
