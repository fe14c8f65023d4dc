-- Calls that could not be judged: each is a fault of ours, told in the log.
SELECT trace_id FROM call WHERE is_call AND due IS NULL AND started IS NULL LIMIT 5
