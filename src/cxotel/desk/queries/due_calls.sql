SELECT trace_id, state, life, first_received, corrections, summary FROM call
WHERE due <= ? ORDER BY due LIMIT 64
