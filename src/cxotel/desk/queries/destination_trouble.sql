UPDATE destination SET note = ?, troubled = ? WHERE name = ?
