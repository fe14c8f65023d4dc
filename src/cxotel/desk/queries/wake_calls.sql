-- A desk starts: what was due when the last one stopped is looked at now, with the timing that holds now.
UPDATE call SET due = :now WHERE due > :now
