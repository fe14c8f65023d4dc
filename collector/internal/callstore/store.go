package callstore

import (
	"container/heap"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

const (
	shardCount = 64
	// Roots of one call that are held; more of them are no call's.
	mostRoots = 16
	// Attributes that may be copied to the root.
	MaxCopied = 8
	// Calls that each shard remembers to have forgotten before their time.
	remembered = 1024
	// Redirections of one span: an alias of an alias.
	mostHops = 4

	copiedSeparator = "\x00"
)

// Store keeps the calls.
type Store struct {
	settings Settings
	seed     maphash.Seed
	shards   [shardCount]shard
	tenants  sync.Map // name to *Tenant
	calls    atomic.Int64
	waiting  atomic.Int64 // emissions not yet taken
	killed   int64        // when the successor of a killed process began; 0 for none
	counts   struct{ late, repeated, unread, evicted atomic.Int64 }
}

type shard struct {
	mu        sync.Mutex
	now       int64
	calls     map[Key]*call
	redirects map[Key]Key
	due       dueHeap
	out       []Emission
	changed   []*call
	forgotten []Key // whose records are to be deleted
	stale     []Key // aliases of forgotten calls, in other shards
	recent    map[Key]toldBefore
	ring      []Key
	next      int
}

// New makes an empty store.
func New(settings Settings) *Store {
	s := &Store{settings: settings, seed: maphash.MakeSeed()}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.calls = make(map[Key]*call)
		sh.redirects = make(map[Key]Key)
		sh.recent = make(map[Key]toldBefore)
	}
	return s
}

// Tenant gives the one tenant of this name.
func (s *Store) Tenant(name string) *Tenant {
	if found, ok := s.tenants.Load(name); ok {
		return found.(*Tenant)
	}
	found, _ := s.tenants.LoadOrStore(name, &Tenant{Name: name})
	return found.(*Tenant)
}

// Ids may be any bytes a sender likes, so they are hashed.
func (s *Store) shard(key Key) *shard {
	return &s.shards[maphash.Bytes(s.seed, key.Trace[:])%shardCount]
}

// Span is one span that came, with what the engine's input does not say.
type Span struct {
	*impact.Input
	// Concerns says that it is part of a call; others count only in calls that are known.
	Concerns bool
	// IsInvalid says that it lacks an id, or that its times cannot be: it counts as skipped.
	IsInvalid bool
	// HasVerdict says that it has attributes that only a verdict writes.
	HasVerdict bool
	// IsRoot says that it is a call's root, IsStamped that it carries a whole verdict.
	IsRoot, IsStamped bool
	// IsStart is the span `call started`; Announced says of a root that this was sent.
	IsStart, Announced bool
	// IsEpisode is a span `media episode`.
	IsEpisode bool
	// Copied are values of the attributes to be copied to the root, "" for none; nil if it has none of them.
	Copied []string
	// Aliases are contexts that mean the same call.
	Aliases []Alias
	// Payload of a root is the OTLP protobuf of a request with this one span; kept.
	Payload []byte
}

// Action is what is to be done with a span now.
type Action uint8

const (
	// PassOn sends it on.
	PassOn Action = iota
	// Hold takes it out of the batch: it comes back as an emission.
	Hold
	// HoldNot is a root too large to hold: it is to be judged and sent at once (JudgeNow).
	HoldNot
	// Drop takes it out of the batch: it has gone out with other content.
	Drop
)

// Cursor remembers the call of the last span: spans of one call often come together, and finding a call among a
// hundred thousand costs more than all the rest.
type Cursor struct {
	via Key
	sh  *shard
	c   *call
}

// Add takes in a span that arrived now (ns). A cursor is for one goroutine.
func (s *Store) Add(tenant *Tenant, span *Span, now int64, last *Cursor) Action {
	via := Key{tenant, span.TraceID}
	if last.c == nil || last.via != via || !last.lock() {
		if !s.find(via, span.Concerns, now, last) {
			return PassOn
		}
	}
	key := last.c.key
	action := s.add(last.sh, last.c, via, span, last.sh.at(now))
	last.sh.mu.Unlock()
	if s.calls.Load() > int64(s.settings.MaxCalls) {
		s.makeRoom(key, now)
	}
	for _, one := range span.Aliases {
		s.join(key, one, now)
	}
	return action
}

// lock locks the call's shard, unless the call has been forgotten since.
func (l *Cursor) lock() bool {
	l.sh.mu.Lock()
	if l.c.index >= 0 {
		return true
	}
	l.sh.mu.Unlock()
	return false
}

// find moves a cursor to the call of a key, and locks its shard. A call that is not known is made if the span
// concerns one.
func (s *Store) find(via Key, concerns bool, now int64, last *Cursor) bool {
	key := via
	for range mostHops {
		sh := s.shard(key)
		sh.mu.Lock()
		if c := sh.calls[key]; c != nil {
			*last = Cursor{via, sh, c}
			return true
		}
		to, ok := sh.redirects[key]
		if !ok && concerns {
			*last = Cursor{via, sh, s.create(sh, key, sh.at(now))}
			return true
		}
		sh.mu.Unlock()
		if !ok {
			break
		}
		key = to
	}
	*last = Cursor{}
	return false
}

func (s *Store) add(sh *shard, c *call, via Key, span *Span, now int64) Action {
	if via != c.key {
		c.see(via.Trace)
	}
	late := c.phase == out || c.phase == told
	s.read(c, span)
	c.last = now
	if s.settings.Persist && !c.has(dirty) {
		c.flags |= dirty
		sh.changed = append(sh.changed, c)
	}
	action := PassOn
	if span.IsRoot {
		action = s.addRoot(sh, c, span, now)
	}
	if late && c.phase != held {
		s.addLate(sh, c, now)
	}
	if c.phase == live && now-c.first > int64(s.settings.MaxCallDuration) {
		s.tell(sh, c, now)
		c.first = now
	}
	if span.IsEpisode && s.settings.Warnings && (c.phase == live || c.phase == held) {
		s.warn(sh, c, span)
	}
	return action
}

// at is the time; it never goes back, whatever the clock does.
func (sh *shard) at(now int64) int64 {
	sh.now = max(sh.now, now)
	return sh.now
}

func (s *Store) create(sh *shard, key Key, now int64) *call {
	c := &call{key: key, first: now, last: now, due: now + int64(s.settings.IdleTimeout)}
	if before, ok := sh.recent[key]; ok {
		c.flags |= missed
		before.recall(c)
	}
	sh.calls[key] = c
	heap.Push(&sh.due, c)
	s.calls.Add(1)
	return c
}

// read has the engine take in a span, unless the call has grown too large.
func (s *Store) read(c *call, span *Span) {
	if c.state.Size() > s.settings.MaxBytesPerCall && !(span.IsRoot && c.roots() < mostRoots) {
		c.flags |= missed
		s.counts.unread.Add(1)
		return
	}
	c.state.Add(span.Input, s.settings.Parameters)
	layer := &span.Values[impact.AttrLayer]
	if !span.IsInvalid && layer.Kind == impact.KindString && layer.String != "" {
		c.flags |= layered
	}
	if span.IsStart {
		c.flags |= sawStart
	}
	if span.Copied != nil {
		c.copy(span.Copied)
	}
}

// copy keeps values that the call does not have yet.
func (c *call) copy(values []string) {
	var given uint8
	for i, value := range values[:min(len(values), MaxCopied)] {
		if value != "" && c.known>>i&1 == 0 && !strings.Contains(value, copiedSeparator) {
			given |= 1 << i
		}
	}
	if given == 0 {
		return
	}
	all := make([]string, len(values))
	if c.known != 0 {
		copy(all, strings.Split(c.copied.Value(), copiedSeparator))
	}
	for i, value := range values {
		if given>>i&1 != 0 {
			all[i] = value
		}
	}
	c.known |= given
	c.copied = unique.Make(strings.Join(all, copiedSeparator))
}

func (c *call) copies() []string {
	if c.known == 0 {
		return nil
	}
	return strings.Split(c.copied.Value(), copiedSeparator)
}

func (s *Store) addRoot(sh *shard, c *call, span *Span, now int64) Action {
	if span.Announced {
		c.flags |= announced
	}
	if s.mayHaveLost(c, span) {
		c.flags |= missed
	}
	switch {
	case span.IsStamped && s.settings.TrustStamped:
		c.flags |= trusted
		s.end(sh, c, out, now)
		return PassOn
	case c.isSent(span.SpanID):
		s.counts.repeated.Add(1)
		return Drop
	case c.phase == out:
		return PassOn // a second root, when the call's has gone
	case len(span.Payload) > s.settings.MaxBytesPerCall:
		return HoldNot
	}
	m := c.extra()
	root := HeldRoot{span.TraceID, span.SpanID, span.End, span.Payload}
	for i := range m.held {
		if m.held[i].Span == root.Span {
			if root.End >= m.held[i].End {
				m.held[i] = root
			}
			return Hold
		}
	}
	if len(m.held) >= mostRoots {
		return PassOn
	}
	m.held = append(m.held, root)
	if c.phase != held {
		s.hold(sh, c, now)
	}
	return Hold
}

// addLate sees to what a span changes that came when the call had been told.
func (s *Store) addLate(sh *shard, c *call, now int64) {
	s.counts.late.Add(1)
	if c.has(trusted) {
		return
	}
	if c.phase == told { // told again when it is idle again
		c.phase, c.first = live, now
		sh.lookAt(c, now+int64(s.settings.IdleTimeout))
		return
	}
	m := c.extra()
	if m.correctAt != 0 {
		return
	}
	// Each correction makes the next one wait twice as long: a root far too early brings few of them.
	wait := int64(s.settings.Grace) << min(m.number, 16)
	m.correctAt = now + min(wait, int64(s.settings.CorrectionWindow)/2)
	sh.lookAt(c, m.correctAt)
}

// hold keeps a call's roots for the grace.
func (s *Store) hold(sh *shard, c *call, now int64) {
	c.phase = held
	sh.lookAt(c, now+int64(s.settings.Grace))
}

// end has a call remembered for as long as it may be corrected.
func (s *Store) end(sh *shard, c *call, as phase, now int64) {
	c.phase, c.last = as, now
	if c.more != nil {
		c.more.correctAt = 0
	}
	sh.lookAt(c, now+int64(s.settings.CorrectionWindow))
	s.change(sh, c)
}

func (sh *shard) lookAt(c *call, due int64) {
	c.due = due
	heap.Fix(&sh.due, int(c.index))
}

// Calls that are looked at to find one to forget.
const sample = 32

// makeRoom forgets a call, not this one: of some, one that was told, else the one silent for longest.
func (s *Store) makeRoom(but Key, now int64) {
	var found *shard
	var oldest Key
	var since int64
	toldBefore := false
	seen := 0
	first := rand.IntN(shardCount)
	for i := range shardCount {
		sh := &s.shards[(first+i)%shardCount]
		sh.mu.Lock()
		for _, c := range sh.calls { // in an order of chance
			if c.key == but {
				continue
			}
			isTold := c.phase == out || c.phase == told
			if found == nil || isTold && !toldBefore || isTold == toldBefore && c.last < since {
				found, oldest, since, toldBefore = sh, c.key, c.last, isTold
			}
			if seen++; seen >= sample {
				break
			}
		}
		sh.mu.Unlock()
		if seen >= sample {
			break
		}
	}
	if found == nil {
		return
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	if c := found.calls[oldest]; c != nil {
		s.evict(found, c, found.at(now))
	}
}

// evict forgets a call before its time, and tells what is known of it.
func (s *Store) evict(sh *shard, c *call, now int64) {
	switch {
	case c.phase == held:
		c.flags |= missed
		s.release(sh, c, now)
	case c.phase == live:
		s.tell(sh, c, now)
	case c.more != nil && c.more.correctAt != 0:
		s.correct(sh, c)
	}
	s.counts.evicted.Add(1)
	s.forget(sh, c)
	if len(sh.ring) < remembered {
		sh.ring = append(sh.ring, c.key)
	} else {
		delete(sh.recent, sh.ring[sh.next])
		sh.ring[sh.next] = c.key
		sh.next = (sh.next + 1) % remembered
	}
	sh.recent[c.key] = toldBeforeOf(c)
}

// toldBefore is what is remembered of a call that was forgotten before its time: a span id is never sent again with
// other content.
type toldBefore struct {
	sent   []SpanID // roots that went out
	digest uint64   // of a verdict told without a root
}

func toldBeforeOf(c *call) toldBefore {
	if c.more == nil {
		return toldBefore{}
	}
	return toldBefore{c.more.sent, c.more.digest}
}

// recall has a call that comes again go on from there. One whose root is gone stays as it was told: what is known of
// it now is too little to correct that.
func (b toldBefore) recall(c *call) {
	if b.digest == 0 && len(b.sent) == 0 {
		return
	}
	m := c.extra()
	m.digest, m.sent = b.digest, slices.Clone(b.sent)
	if len(b.sent) > 0 {
		c.phase = out
		c.flags |= trusted
	}
}

// take takes a call out of its shard.
func (sh *shard) take(c *call) {
	heap.Remove(&sh.due, int(c.index))
	c.index = -1
	delete(sh.calls, c.key)
}

func (s *Store) forget(sh *shard, c *call) {
	sh.take(c)
	s.calls.Add(-1)
	if s.settings.Persist {
		sh.forgotten = append(sh.forgotten, c.key)
	}
	if c.more == nil {
		return
	}
	for _, one := range c.more.aliases {
		// Other shards may not be locked from here.
		sh.stale = append(sh.stale, Key{c.key.Tenant, one.Trace})
	}
}
