package callstore

// Counts are what a store has done since it was made.
type Counts struct {
	LateSpans, RepeatedRoots, UnreadSpans, Evictions int64
}

// Counts so far.
func (s *Store) Counts() Counts {
	return Counts{s.counts.late.Load(), s.counts.repeated.Load(), s.counts.unread.Load(), s.counts.evicted.Load()}
}

// Calls is the number of calls remembered.
func (s *Store) Calls() int { return int(s.calls.Load()) }

// Gauges are what a store holds now.
type Gauges struct {
	Calls, RootsHeld, Bytes int64
}

// Gauges goes through all calls; it is for a scrape, not for every span.
func (s *Store) Gauges() Gauges {
	var all Gauges
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		all.Calls += int64(len(sh.calls))
		for _, c := range sh.calls {
			all.Bytes += int64(c.size())
			if c.more != nil {
				all.RootsHeld += int64(len(c.more.held))
			}
		}
		sh.mu.Unlock()
	}
	return all
}
