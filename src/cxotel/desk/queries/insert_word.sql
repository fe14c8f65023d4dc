INSERT INTO word (kind, text) VALUES (?, ?) ON CONFLICT (kind, text) DO UPDATE SET kind = kind RETURNING id
