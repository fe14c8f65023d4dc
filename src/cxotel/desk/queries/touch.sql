INSERT INTO setting (name, value) VALUES ('ready', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
