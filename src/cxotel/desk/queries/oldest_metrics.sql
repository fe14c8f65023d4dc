-- How old the oldest ones are: the latest of so many.
SELECT max(received) FROM (SELECT received FROM metric ORDER BY id LIMIT ?)
