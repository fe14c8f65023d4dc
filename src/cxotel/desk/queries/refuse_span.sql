UPDATE call SET refused = refused + ? WHERE trace_id = ?
