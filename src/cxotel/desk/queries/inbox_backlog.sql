-- length() of a blob reads no more than the row's head.
SELECT count(*), coalesce(sum(length(data)), 0), min(received) FROM inbox
