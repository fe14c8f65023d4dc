package callstore

import (
	"fmt"
	"hash/fnv"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

// Due gives what is to be sent now, and forgets what need not be remembered.
func (s *Store) Due(now int64) []Emission {
	var all []Emission
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.sweep(sh, sh.at(now))
		all = append(all, sh.out...)
		sh.out = nil
		stale := sh.stale
		sh.stale = nil
		sh.mu.Unlock()
		s.clear(stale)
	}
	s.waiting.Add(-int64(len(all)))
	return all
}

// Waiting is how many emissions nobody has taken yet.
func (s *Store) Waiting() int { return int(s.waiting.Load()) }

func (s *Store) sweep(sh *shard, now int64) {
	for len(sh.due) > 0 && sh.due[0].due <= now {
		s.look(sh, sh.due[0], now)
	}
}

// look does what is due of a call; in the end it is due later, or forgotten.
func (s *Store) look(sh *shard, c *call, now int64) {
	switch c.phase {
	case held:
		s.release(sh, c, now)
	case live:
		if idle := c.last + int64(s.settings.IdleTimeout); idle > now {
			sh.lookAt(c, idle)
		} else if s.tell(sh, c, now); c.phase == live { // there was nothing to tell
			s.forget(sh, c)
		}
	default:
		if c.more != nil && c.more.correctAt != 0 {
			s.correct(sh, c)
		}
		if end := c.last + int64(s.settings.CorrectionWindow); end > now {
			sh.lookAt(c, end)
		} else {
			s.forget(sh, c)
		}
	}
}

func (s *Store) emit(sh *shard, one Emission) {
	sh.out = append(sh.out, one)
	s.waiting.Add(1)
}

// verdictOf judges a call as it is known here.
func (s *Store) verdictOf(c *call) *impact.Verdict {
	return c.state.Verdict(s.settings.Parameters, c.isPartial())
}

// release lets the held roots of a call go, the call's own with its verdict.
func (s *Store) release(sh *shard, c *call, now int64) {
	one := s.judged(c)
	m := c.more
	for _, root := range m.held {
		m.sent = append(m.sent, root.Span)
	}
	m.held = nil
	before := m.digest
	s.end(sh, c, out, now)
	if one.Kind == Judged {
		m.digest = digestOf(one.Verdict)
	}
	s.emit(sh, one)
	if one.Kind == Passed && before != digestOf(one.Verdict) {
		s.correct(sh, c)
	}
}

// judged is the emission of a call's held roots.
func (s *Store) judged(c *call) Emission {
	one := Emission{Kind: Passed, Key: c.key, Verdict: s.verdictOf(c), Copied: c.copies(), Links: c.unseen()}
	root := one.Verdict.Root
	for _, held := range c.more.held {
		if root != nil && held.Span == SpanID(root.SpanID) {
			one.Kind, one.Root = Judged, held
		} else {
			one.Others = append(one.Others, held)
		}
	}
	return one
}

// tell says of a call without its root what is known.
func (s *Store) tell(sh *shard, c *call, now int64) {
	if !c.has(layered) {
		return
	}
	m := c.extra()
	if m.digest != 0 {
		s.correct(sh, c)
	} else {
		verdict := c.state.Verdict(s.settings.Parameters, true)
		m.digest = digestOf(verdict)
		s.emit(sh, Emission{
			Kind: PartialCall, Key: c.key, Verdict: verdict, Copied: c.copies(), Links: c.unseen(),
		})
	}
	s.end(sh, c, told, now)
}

// correct says what a call's verdict is now, if that is not what was said last.
func (s *Store) correct(sh *shard, c *call) {
	m := c.extra()
	m.correctAt = 0
	if c.has(trusted) {
		return
	}
	verdict := s.verdictOf(c)
	digest := digestOf(verdict)
	if digest == m.digest {
		return
	}
	if c.has(unsure) && !c.has(missed) {
		c.flags |= missed
		verdict = s.verdictOf(c)
		digest = digestOf(verdict)
	}
	m.digest = digest
	m.number++
	s.emit(sh, Emission{
		Kind: Correction, Key: c.key, Verdict: verdict, Copied: c.copies(), Links: c.unseen(), Number: m.number,
	})
	s.change(sh, c)
}

// warn tells once for each layer that a running call is hurt there.
func (s *Store) warn(sh *shard, c *call, span *Span) {
	layer := span.Values[impact.AttrLayer]
	place := impact.MediaRank(layer.String)
	if layer.Kind != impact.KindString || place < 0 || c.warned>>place&1 != 0 || !s.hurts(span, layer.String) {
		return
	}
	c.warned |= 1 << place
	warned := Warned{Layer: layer.String, Trace: span.TraceID, Episode: span.SpanID, Start: span.Start, End: span.End}
	if owner := span.Values[impact.AttrOwner]; owner.Kind == impact.KindString {
		warned.Owner = owner.String
	}
	s.emit(sh, Emission{
		Kind: Warning, Key: c.key, Verdict: c.state.Verdict(s.settings.Parameters, true), Copied: c.copies(), Warned: warned,
	})
}

// hurts says whether an episode's own figures cost its layer anything: one that brings none is no reason to warn.
func (s *Store) hurts(episode *Span, layer string) bool {
	var alone impact.State
	alone.Add(episode.Input, s.settings.Parameters)
	return alone.Verdict(s.settings.Parameters, true).Charges[layer] > 0
}

// change notes that a call is to be stored anew.
func (s *Store) change(sh *shard, c *call) {
	if s.settings.Persist && !c.has(dirty) {
		c.flags |= dirty
		sh.changed = append(sh.changed, c)
	}
}

// Flush lets everything held go at once, as partial: the grace is cut short.
func (s *Store) Flush(now int64) []Emission {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, c := range sh.calls {
			switch {
			case c.phase == held:
				c.flags |= missed
				s.release(sh, c, sh.at(now))
			case c.more != nil && c.more.correctAt != 0:
				s.correct(sh, c)
			}
		}
		sh.mu.Unlock()
	}
	return s.Due(now)
}

// JudgeNow gives a root that cannot be held with its verdict at once, as partial. Once that was sent, Sent must be
// called; else the root is as if it had never come.
func (s *Store) JudgeNow(tenant *Tenant, root HeldRoot) Emission {
	one := Emission{Kind: Passed, Key: Key{tenant, root.Trace}, Others: []HeldRoot{root}}
	s.with(one.Key, func(_ *shard, c *call) {
		one = Emission{Key: c.key, Copied: c.copies(), Links: c.unseen()}
		one.Verdict = c.state.Verdict(s.settings.Parameters, true)
		if found := one.Verdict.Root; found != nil && root.Span == SpanID(found.SpanID) {
			one.Root = root
		} else {
			one.Kind, one.Others = Passed, []HeldRoot{root}
		}
	})
	return one
}

// Sent says that what JudgeNow gave has gone out.
func (s *Store) Sent(one Emission, now int64) {
	s.with(one.Key, func(sh *shard, c *call) {
		m := c.extra()
		for _, root := range one.Others {
			m.sent = append(m.sent, root.Span)
		}
		if one.Kind != Judged {
			return
		}
		m.sent = append(m.sent, one.Root.Span)
		m.digest = digestOf(one.Verdict)
		c.flags |= missed
		s.end(sh, c, out, sh.at(now))
	})
}

// with calls a function with the call of a key, locked; not at all where there is none.
func (s *Store) with(key Key, do func(*shard, *call)) {
	for range mostHops {
		sh := s.shard(key)
		sh.mu.Lock()
		to, ok := sh.redirects[key]
		if !ok {
			if c := sh.calls[key]; c != nil {
				do(sh, c)
			}
			sh.mu.Unlock()
			return
		}
		sh.mu.Unlock()
		key = to
	}
}

// digestOf is the same for verdicts that say the same, also after a restart.
func digestOf(v *impact.Verdict) uint64 {
	hash := fnv.New64a()
	for _, one := range v.Attributes {
		fmt.Fprintf(hash, "%s=%v\x00", one.Key, one.Value)
	}
	return max(hash.Sum64(), 1) // 0 is for none
}
