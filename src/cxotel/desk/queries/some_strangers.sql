-- Traces that no call is known of; of many those with the lowest ids, which are random.
SELECT trace_id, last_received FROM call WHERE NOT is_call LIMIT ?
