SELECT log.id, log.trace_id, log.data FROM log
WHERE log.id > ?1 AND log.id <= ?2 AND instr(log.data, ?3)
