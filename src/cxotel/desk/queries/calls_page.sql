-- Newest first, before a place and not before a time; a call whose clock runs ahead stands where it was received,
-- not on top for ever.
SELECT trace_id, state, spans, first_received, last_received, due, refused, revision, corrections, frozen,
  started, length, summary
FROM call
WHERE is_call AND started IS NOT NULL
  AND started <= ?1 AND started >= ?3 AND (started < ?1 OR trace_id > ?2)
ORDER BY started DESC, trace_id LIMIT ?4
