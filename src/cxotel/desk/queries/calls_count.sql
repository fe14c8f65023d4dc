SELECT
  (SELECT count(*) FROM call WHERE is_call AND started IS NOT NULL),
  (SELECT count(*) FROM call WHERE NOT is_call)
