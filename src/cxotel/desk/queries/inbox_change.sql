UPDATE inbox SET data = ?, spoiled = ? WHERE id = ?
