-- Written only if nothing came since the spans were read; else the call is judged again.
UPDATE call SET state = :state, due = :due, corrections = :corrections, started = :started, length = :length,
  summary = :summary, revision = revision + 1
WHERE trace_id = :trace_id AND arrivals = :arrivals
