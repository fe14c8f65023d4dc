package callstore

import "slices"

// join makes the spans of another trace part of a call, those that came and those that will.
func (s *Store) join(key Key, other Alias, now int64) {
	from := Key{key.Tenant, other.Trace}
	if from == key || other.Trace == (TraceID{}) {
		return
	}
	isNew := false
	s.with(key, func(sh *shard, c *call) {
		key = c.key
		if from == key || c.more != nil && slices.ContainsFunc(c.more.aliases, func(one alias) bool {
			return one.Trace == other.Trace
		}) {
			return
		}
		m := c.extra()
		m.aliases = append(m.aliases, alias{Alias: other})
		s.change(sh, c)
		isNew = true
	})
	if !isNew {
		return
	}
	sh := s.shard(from)
	sh.mu.Lock()
	if _, ok := sh.redirects[from]; ok { // it is already part of a call
		sh.mu.Unlock()
		return
	}
	sh.redirects[from] = key
	part := sh.calls[from]
	if part != nil {
		sh.take(part)
		s.calls.Add(-1)
		if s.settings.Persist {
			sh.forgotten = append(sh.forgotten, from)
		}
	}
	sh.mu.Unlock()
	if part != nil {
		s.with(key, func(sh *shard, c *call) { s.merge(sh, c, part, now) })
	}
}

// merge adds what is known of a call's other part.
func (s *Store) merge(sh *shard, c, part *call, now int64) {
	now = sh.at(now)
	c.state.Merge(&part.state)
	c.first = min(c.first, part.first)
	c.flags |= part.flags & (sawStart | missed | layered)
	c.warned |= part.warned
	c.copy(part.copies())
	c.see(part.key.Trace)
	s.change(sh, c)
	if part.more != nil {
		m := c.extra()
		m.sent = append(m.sent, part.more.sent...)
		m.aliases = append(m.aliases, part.more.aliases...)
		m.held = append(m.held, part.more.held...)
	}
	if c.phase == out || c.phase == told {
		s.addLate(sh, c, now)
	}
	if c.more == nil || len(c.more.held) == 0 {
		return
	}
	switch c.phase {
	case live:
		c.flags |= part.flags & announced
		s.hold(sh, c, now)
	case out: // the call's root has gone: this one has nothing to wait for
		m := c.more
		for _, root := range m.held {
			m.sent = append(m.sent, root.Span)
		}
		s.emit(sh, Emission{Kind: Passed, Key: c.key, Others: m.held})
		m.held = nil
	}
}

// see notes that spans with this trace id came here.
func (c *call) see(trace TraceID) {
	if c.more == nil {
		return
	}
	for i := range c.more.aliases {
		if c.more.aliases[i].Trace == trace {
			c.more.aliases[i].seen = true
		}
	}
}

// clear takes away redirections to calls that were forgotten.
func (s *Store) clear(stale []Key) {
	for _, key := range stale {
		sh := s.shard(key)
		sh.mu.Lock()
		delete(sh.redirects, key)
		sh.mu.Unlock()
	}
}
