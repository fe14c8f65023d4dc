SELECT trace_id, state, arrivals, first_received, last_received, root_received, due, refused, revision, corrections,
  started, length, summary
FROM call WHERE trace_id = ? AND is_call
