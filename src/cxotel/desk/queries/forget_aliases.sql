DELETE FROM alias WHERE call = ?
