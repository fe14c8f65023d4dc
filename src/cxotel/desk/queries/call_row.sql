SELECT trace_id, state, spans, first_received, last_received, due, refused, revision, corrections, frozen,
  started, length, summary
FROM call WHERE trace_id = coalesce((SELECT call FROM alias WHERE alias.trace_id = ?1), ?1) AND is_call
