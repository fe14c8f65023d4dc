UPDATE alias SET call = ? WHERE call = ?
