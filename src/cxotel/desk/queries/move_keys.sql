UPDATE OR REPLACE call_key SET trace_id = ? WHERE trace_id = ?
