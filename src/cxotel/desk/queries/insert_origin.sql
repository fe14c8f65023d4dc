INSERT INTO origin (digest, resource, scope, resource_schema_url, scope_schema_url) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest
RETURNING id
