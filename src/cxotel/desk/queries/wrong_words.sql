SELECT kind, text, calls, (SELECT count(*) FROM facet WHERE facet.word = word.id) AS have
FROM word WHERE calls != have
