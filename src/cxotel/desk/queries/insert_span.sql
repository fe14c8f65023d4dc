INSERT OR IGNORE INTO span (trace_id, digest, origin, received, data) VALUES (?, ?, ?, ?, ?)
