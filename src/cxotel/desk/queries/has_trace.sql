SELECT EXISTS (SELECT 1 FROM call WHERE trace_id = ?1) OR EXISTS (SELECT 1 FROM span WHERE trace_id = ?1)
  OR EXISTS (SELECT 1 FROM log WHERE trace_id = ?1)
