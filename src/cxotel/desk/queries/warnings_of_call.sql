SELECT layer, at, message, spans FROM warning WHERE trace_id = ? ORDER BY at
