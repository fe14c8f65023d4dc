-- Calls by severity that started in a time; read from the facets' key alone.
SELECT word.text, (
  SELECT count(*) FROM facet WHERE facet.word = word.id AND facet.started >= ?1 AND facet.started < ?2
)
FROM word WHERE word.kind = 'severity'
