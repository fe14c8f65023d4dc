INSERT INTO call (trace_id, is_call, state, life, spans, first_received, last_received, due, refused)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (trace_id) DO UPDATE SET is_call = excluded.is_call, state = excluded.state, life = excluded.life,
  spans = excluded.spans, first_received = excluded.first_received, last_received = excluded.last_received,
  due = excluded.due, refused = excluded.refused
