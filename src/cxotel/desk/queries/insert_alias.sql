INSERT OR IGNORE INTO alias (trace_id, root, call) VALUES (?, ?, ?)
