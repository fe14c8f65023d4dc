INSERT INTO destination (name, place) VALUES (?, 0) ON CONFLICT (name) DO NOTHING
