UPDATE call SET life = ?, due = ? WHERE trace_id = ?
