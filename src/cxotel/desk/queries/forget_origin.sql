DELETE FROM origin WHERE id = ?
