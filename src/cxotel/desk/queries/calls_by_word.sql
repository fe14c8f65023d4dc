-- Calls with a word, newest first, before a place and not before a time; of every group of words in ?4 (JSON, arrays
-- of word ids) they have at least one. Words are looked up by key, and a call is read only if it has them all.
SELECT call.trace_id, state, spans, first_received, last_received, due, refused, revision, corrections, frozen,
  call.started, length, summary
FROM facet AS one CROSS JOIN call ON call.trace_id = one.trace_id
WHERE one.word = ?5
  AND one.started <= ?1 AND one.started >= ?3 AND (one.started < ?1 OR one.trace_id > ?2)
  AND NOT EXISTS (
    SELECT 1 FROM json_each(?4) AS alike WHERE NOT EXISTS (
      SELECT 1 FROM json_each(alike.value) AS wanted CROSS JOIN facet AS other
      WHERE other.word = wanted.value AND other.started = one.started AND other.trace_id = one.trace_id
    )
  )
ORDER BY one.started DESC, one.trace_id LIMIT ?6
