SELECT trace_id, life FROM call WHERE due IS NOT NULL AND state = 'provisional'
