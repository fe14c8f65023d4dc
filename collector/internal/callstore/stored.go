package callstore

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unique"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

// The form of a stored call. Records of another version are not read: their calls are partial.
const recordVersion = 1

// Beside a call's flags in its record: its verdict was about to be looked at again.
const pending flag = 1 << 7

var errRecord = errors.New("not the record of a call, or of another version")

// Record is a call as stored. One without a value is to be deleted.
type Record struct {
	Name  string
	Value []byte
}

// TakeChanged gives the calls that changed, or were forgotten, since it was last called.
func (s *Store) TakeChanged() []Key {
	var keys []Key
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		keys = append(keys, sh.forgotten...)
		for _, c := range sh.changed {
			c.flags &^= dirty
			keys = append(keys, c.key)
		}
		sh.changed, sh.forgotten = sh.changed[:0], sh.forgotten[:0]
		sh.mu.Unlock()
	}
	return keys
}

// Record gives the call of a key as it is to be stored; without a value where there is none any more.
func (s *Store) Record(key Key) Record {
	record := Record{Name: key.Text()}
	sh := s.shard(key)
	sh.mu.Lock()
	if c := sh.calls[key]; c != nil {
		record.Value = c.record()
	}
	sh.mu.Unlock()
	return record
}

// Changed has these calls stored again: what TakeChanged gave could not be written.
func (s *Store) Changed(keys []Key) {
	for _, key := range keys {
		sh := s.shard(key)
		sh.mu.Lock()
		if c := sh.calls[key]; c != nil {
			s.change(sh, c)
		} else {
			sh.forgotten = append(sh.forgotten, key)
		}
		sh.mu.Unlock()
	}
}

// Holds says whether a root is held.
func (s *Store) Holds(key Key, root SpanID) bool {
	found := false
	s.with(key, func(_ *shard, c *call) {
		if c.more == nil {
			return
		}
		for _, one := range c.more.held {
			found = found || one.Span == root
		}
	})
	return found
}

// Restore brings a stored call back.
//
// clean says that everything was stored before the last stop; else the call may have missed spans.
func (s *Store) Restore(record Record, now int64, clean bool) error {
	key, err := s.ParseKey(record.Name)
	if err != nil {
		return err
	}
	c := &call{key: key}
	if err := c.load(record.Value); err != nil {
		return err
	}
	if !clean && c.phase == out {
		c.flags |= unsure
	} else if !clean {
		c.flags |= missed
	}
	if c.phase == held { // its roots have records of their own
		c.phase = live
	}
	c.first, c.last = min(c.first, now), min(c.last, now)
	sh := s.shard(key)
	sh.mu.Lock()
	if sh.calls[key] != nil {
		sh.mu.Unlock()
		return errRecord
	}
	sh.calls[key] = c
	c.due = c.last + int64(s.settings.CorrectionWindow)
	switch {
	case c.phase == live:
		c.due = c.last + int64(s.settings.IdleTimeout)
	case c.more != nil && c.more.correctAt != 0:
		c.more.correctAt = now + int64(s.settings.Grace)
		c.due = c.more.correctAt
	}
	heap.Push(&sh.due, c)
	if c.has(missed) || c.has(unsure) { // also to be known after a clean stop, if nothing comes till then
		s.change(sh, c)
	}
	s.calls.Add(1)
	sh.mu.Unlock()
	if c.more != nil {
		for _, one := range c.more.aliases {
			from := Key{key.Tenant, one.Trace}
			sh := s.shard(from)
			sh.mu.Lock()
			sh.redirects[from] = key
			sh.mu.Unlock()
		}
	}
	return nil
}

// Missed says of a call that spans of it were lost; it is made where there is none.
func (s *Store) Missed(key Key, now int64) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.calls[key]
	if c == nil {
		c = s.create(sh, key, sh.at(now))
	}
	c.flags |= missed
}

// Killed says, before spans come, when the successor of a process began that ended without storing everything: of calls
// that were not stored at all some spans may have been lost. 0 is for none.
func (s *Store) Killed(now int64) { s.killed = now }

// mayHaveLost says whether a call was running, or its last spans were under way, when facts were lost, and nothing of it
// had been stored. The records of calls long ago, which may come at any time, are not meant.
func (s *Store) mayHaveLost(c *call, root *Span) bool {
	killed := uint64(s.killed)
	return killed != 0 && c.first >= s.killed && root.Start < killed &&
		root.End+uint64(s.settings.CorrectionWindow) > killed
}

// SentBefore says that a root had been judged, and perhaps sent, before the last stop.
func (s *Store) SentBefore(key Key, root SpanID, now int64) {
	s.with(key, func(sh *shard, c *call) {
		m := c.extra()
		if !c.isSent(root) {
			m.sent = append(m.sent, root)
		}
		if m.digest == 0 || c.phase != out {
			m.digest = digestOf(s.verdictOf(c))
		}
		s.end(sh, c, out, sh.at(now))
	})
}

func (c *call) record() []byte {
	b := make([]byte, 0, 64+c.state.Size())
	flags := c.flags &^ dirty
	if c.more != nil && c.more.correctAt != 0 {
		flags |= pending
	}
	b = append(b, recordVersion, byte(c.phase), byte(flags), c.warned, c.known)
	b = binary.AppendVarint(b, c.first)
	b = binary.AppendVarint(b, c.last)
	b = appendText(b, strings.Join(c.copies(), copiedSeparator))
	m := c.more
	if m == nil {
		m = &more{}
	}
	b = binary.LittleEndian.AppendUint64(b, m.digest)
	b = binary.AppendUvarint(b, uint64(m.number))
	b = binary.AppendUvarint(b, uint64(len(m.sent)))
	for _, id := range m.sent {
		b = append(b, id[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(m.aliases)))
	for _, one := range m.aliases {
		b = append(b, one.Trace[:]...)
		b = append(b, one.Root[:]...)
		b = append(b, flagByte(one.seen))
	}
	return c.state.Append(b)
}

func flagByte(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// load reads what record wrote; anything else is an error.
func (c *call) load(b []byte) error {
	r := reader{rest: b}
	if r.byte() != recordVersion {
		return errRecord
	}
	c.phase, c.flags, c.warned, c.known = phase(r.byte()), flag(r.byte())&^dirty, r.byte(), r.byte()
	c.first, c.last = r.varint(), r.varint()
	copied := string(r.take(r.count(1)))
	var m more
	m.digest = r.uint64()
	m.number = int(min(r.uvarint(), 1<<30))
	for range r.count(len(SpanID{})) {
		m.sent = append(m.sent, SpanID(r.take(len(SpanID{}))))
	}
	for range r.count(len(TraceID{}) + len(SpanID{}) + 1) {
		var one alias
		one.Trace = TraceID(r.take(len(one.Trace)))
		one.Root = SpanID(r.take(len(one.Root)))
		one.seen = r.byte() == 1
		m.aliases = append(m.aliases, one)
	}
	if r.failed || c.phase > told {
		return errRecord
	}
	if c.known != 0 {
		if strings.Count(copied, copiedSeparator) >= MaxCopied {
			return errRecord
		}
		c.copied = unique.Make(copied)
	}
	if c.flags&pending != 0 && c.phase == out {
		m.correctAt = 1 // Restore says when
	}
	c.flags &^= pending
	if m.digest != 0 || m.sent != nil || m.aliases != nil || m.correctAt != 0 {
		c.more = &m
	}
	var err error
	c.state, err = impact.Load(r.rest)
	return err
}

// reader takes a record apart; past its end it gives zeros and remembers that it failed.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return make([]byte, min(n, len(TraceID{})))
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) uvarint() uint64 {
	value, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return value
}

func (r *reader) varint() int64 {
	value, n := binary.Varint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return value
}

// count is a number of things of this size that the rest can hold.
func (r *reader) count(size int) int {
	value := r.uvarint()
	if value > uint64(len(r.rest)/size) {
		r.failed, r.rest = true, nil
		return 0
	}
	return int(value)
}

// Knows says whether there is anything of a call.
func (s *Store) Knows(key Key) bool {
	found := false
	s.with(key, func(*shard, *call) { found = true })
	return found
}

// Unhold is for a root that could not be stored: it is judged at once (JudgeNow) instead of held.
func (s *Store) Unhold(key Key, root SpanID) {
	s.with(key, func(sh *shard, c *call) {
		if c.more == nil {
			return
		}
		c.more.held = slices.DeleteFunc(c.more.held, func(one HeldRoot) bool { return one.Span == root })
		if len(c.more.held) == 0 && c.phase == held {
			c.phase = live
			sh.lookAt(c, c.last+int64(s.settings.IdleTimeout))
		}
	})
}
