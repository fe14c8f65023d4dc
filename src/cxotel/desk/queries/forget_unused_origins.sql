DELETE FROM origin WHERE NOT EXISTS (SELECT 1 FROM span WHERE span.origin = origin.id)
  AND NOT EXISTS (SELECT 1 FROM log WHERE log.origin = origin.id)
  AND NOT EXISTS (SELECT 1 FROM metric WHERE metric.origin = origin.id)
