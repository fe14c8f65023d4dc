-- Calls at rest with what they are found by, for comparing.
SELECT trace_id, state, summary, (
  SELECT json_group_array(json_array(word.kind, word.text))
  FROM facet JOIN word ON word.id = facet.word WHERE facet.trace_id = call.trace_id
) FROM call WHERE is_call AND summary IS NOT NULL AND due IS NULL
