SELECT key, trace_id FROM call_key JOIN call USING (trace_id) WHERE last_received >= ? ORDER BY last_received DESC LIMIT ?
