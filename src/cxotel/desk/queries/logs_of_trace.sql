SELECT log.data, log.received, origin.id, origin.resource, origin.scope, origin.resource_schema_url,
  origin.scope_schema_url
FROM log JOIN origin ON origin.id = log.origin
WHERE log.trace_id = ? ORDER BY log.id
