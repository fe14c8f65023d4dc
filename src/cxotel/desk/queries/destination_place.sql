SELECT place FROM destination WHERE name = ?
