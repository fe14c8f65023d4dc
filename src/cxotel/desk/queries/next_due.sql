SELECT min(due) FROM call WHERE due IS NOT NULL
