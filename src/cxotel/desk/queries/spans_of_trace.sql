SELECT span.data, span.received, origin.id, origin.resource, origin.scope, origin.resource_schema_url,
  origin.scope_schema_url
FROM span JOIN origin ON origin.id = span.origin
WHERE span.trace_id = ? ORDER BY span.id
