-- When the call started that stands ?3 places behind a time, among those with a word.
SELECT started FROM facet WHERE word = ?1 AND started <= ?2 ORDER BY started DESC LIMIT 1 OFFSET ?3
