UPDATE call SET due = NULL WHERE trace_id = :trace_id AND arrivals = :arrivals
