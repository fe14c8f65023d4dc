INSERT OR IGNORE INTO metric (name, digest, origin, received, data) VALUES (?, ?, ?, ?, ?)
