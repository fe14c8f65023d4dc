-- Of the spans behind one, in order: those whose bytes hold a text, and the last one looked at.
SELECT span.id, span.trace_id, span.data FROM span
WHERE span.id > ?1 AND span.id <= ?2 AND instr(span.data, ?3)
