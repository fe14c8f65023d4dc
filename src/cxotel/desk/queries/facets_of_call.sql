SELECT facet.word, facet.started FROM facet WHERE trace_id = ?
