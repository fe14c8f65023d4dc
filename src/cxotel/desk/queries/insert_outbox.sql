INSERT INTO outbox (made, signal, items, data) VALUES (?, ?, ?, ?)
