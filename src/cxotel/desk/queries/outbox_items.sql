SELECT coalesce(sum(items), 0) FROM outbox WHERE id > ? AND id <= ?
