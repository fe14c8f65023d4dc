SELECT coalesce(json_extract(life, '$.trusted'), 0) FROM call WHERE trace_id = ? AND life != ''
