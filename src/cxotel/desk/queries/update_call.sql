UPDATE call SET state = ?, life = ?, due = ?, corrections = ?, started = ?, length = ?, summary = ?,
  revision = revision + 1
WHERE trace_id = ?
