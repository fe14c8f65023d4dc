-- Spans of a trace came: what that means for its life. :soon is now + settle, :now is now.
INSERT INTO call (trace_id, is_call, state, arrivals, first_received, last_received, root_received, due)
VALUES (:trace_id, :is_call, CASE WHEN :is_root THEN 'provisional' ELSE 'running' END, 1, :now, :now,
        CASE WHEN :is_root THEN :now END,
        CASE WHEN :is_root THEN :now WHEN :is_call THEN :soon END)
ON CONFLICT (trace_id) DO UPDATE SET
  is_call = max(is_call, excluded.is_call),
  arrivals = arrivals + 1,
  last_received = :now,
  root_received = coalesce(root_received, excluded.root_received),
  state = CASE
    WHEN :is_root AND state IN ('running', 'partial') THEN 'provisional'
    WHEN state = 'partial' THEN 'running'
    ELSE state END,
  due = CASE
    WHEN :is_root AND state IN ('running', 'partial') THEN :now
    WHEN state = 'provisional' THEN coalesce(due, :soon)  -- none: it was given up
    WHEN max(is_call, excluded.is_call) THEN min(coalesce(due, :soon), :soon)
    END
