-- Of the origins behind one, in order: each with whether anything is of it.
SELECT id, EXISTS (SELECT 1 FROM span WHERE span.origin = origin.id)
  OR EXISTS (SELECT 1 FROM log WHERE log.origin = origin.id)
  OR EXISTS (SELECT 1 FROM metric WHERE metric.origin = origin.id)
FROM origin WHERE id > ? ORDER BY id LIMIT ?
