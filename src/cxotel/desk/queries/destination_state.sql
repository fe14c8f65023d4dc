SELECT name, sent, dropped, last, note, troubled, count(outbox.id), coalesce(sum(items), 0),
  coalesce(sum(length(data)), 0), coalesce(min(made), 0)
FROM destination LEFT JOIN outbox ON outbox.id > place
WHERE name = ? GROUP BY name
