-- Calls, by the counts that facets keep; other traces up to 1,000.
SELECT
  (SELECT coalesce(sum(calls), 0) FROM word WHERE kind = 'state'),
  (SELECT count(*) FROM (SELECT 1 FROM call WHERE NOT is_call LIMIT 1001))
