SELECT trace_id, state, arrivals, first_received, last_received, root_received, due, corrections
FROM call WHERE due IS NOT NULL ORDER BY due LIMIT 64
