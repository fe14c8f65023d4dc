-- Used most first; of a kind with very many texts only as many are looked at.
SELECT text, calls FROM (SELECT text, calls FROM word WHERE kind = ?1 AND calls > 0 LIMIT 5000)
ORDER BY calls DESC, text LIMIT ?2
