INSERT OR IGNORE INTO erased (trace_id, at) VALUES (?, ?)
