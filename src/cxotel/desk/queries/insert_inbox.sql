INSERT INTO inbox (received, signal, data, spoiled) VALUES (?, ?, ?, ?)
