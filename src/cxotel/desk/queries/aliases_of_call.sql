SELECT trace_id, root, EXISTS (SELECT 1 FROM span WHERE span.trace_id = alias.trace_id) FROM alias WHERE call = ?
