SELECT data FROM outbox WHERE id = ?
