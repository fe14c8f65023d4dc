UPDATE call SET frozen = ? WHERE trace_id = ? AND is_call
