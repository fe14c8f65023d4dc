SELECT text, calls FROM word WHERE kind = ? AND calls > 0
