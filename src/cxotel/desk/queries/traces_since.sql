-- Calls since a time, the oldest first.
SELECT trace_id FROM call WHERE is_call AND coalesce(started, first_received) >= ? ORDER BY coalesce(started, first_received)
