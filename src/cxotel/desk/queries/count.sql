INSERT INTO counter (name, value, last, note) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET value = value + excluded.value, last = excluded.last,
  note = CASE WHEN excluded.note = '' THEN note ELSE excluded.note END
