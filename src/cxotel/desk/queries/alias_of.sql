SELECT call FROM alias WHERE trace_id = ?
