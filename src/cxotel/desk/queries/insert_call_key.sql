INSERT OR IGNORE INTO call_key (key, trace_id) VALUES (?, ?)
