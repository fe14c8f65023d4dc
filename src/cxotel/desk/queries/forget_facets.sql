DELETE FROM facet WHERE trace_id = ?
