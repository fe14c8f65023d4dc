UPDATE call SET due = NULL WHERE trace_id = ?
