INSERT OR IGNORE INTO facet (word, started, trace_id) VALUES (?, ?, ?)
