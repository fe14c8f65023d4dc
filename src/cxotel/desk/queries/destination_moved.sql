UPDATE destination SET place = max(place, ?), sent = sent + ?, dropped = dropped + ?, last = max(last, ?)
WHERE name = ?
