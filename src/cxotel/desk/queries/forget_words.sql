DELETE FROM word WHERE calls = 0
