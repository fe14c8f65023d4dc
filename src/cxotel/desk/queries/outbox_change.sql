UPDATE outbox SET data = ?, items = ? WHERE id = ?
