SELECT id, calls FROM word WHERE kind = ? AND text = ?
