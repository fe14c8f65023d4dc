-- Newest first. A call whose clock runs ahead stands where it was received, not on top for ever.
SELECT trace_id, state, spans, first_received, last_received, due, refused, revision, corrections, frozen,
  started, length, summary
FROM call
WHERE is_call AND started IS NOT NULL AND (started, trace_id) < (?, ?)
ORDER BY started DESC, trace_id DESC LIMIT ?
