package impact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// ownScope is that of what judges add; it takes no part in judging.
const ownScope = "cxotel.impact"

// State is what is kept of a call: the compact facts of its spans, which a verdict reads. The zero value is empty.
//
// A span's id stands in ids, its facts one after the other in facts, as writeFact has them. Of a span that came
// again with a later end the old facts stay there, marked, and are no longer counted.
type State struct {
	home   [16]byte // trace id of the first span; others are few
	base   uint64   // start of the first span, from which times are counted
	ids    []uint64
	facts  []byte
	rare   *rare
	dead   int32 // entries of facts that are marked
	series int32 // bytes of facts that are the text of series
}

// rare is what few calls have.
type rare struct {
	traces [][16]byte       // trace ids besides home
	owners []string         // owners named by spans
	bad    []uint64         // hashes of spans that could not be read, each once
	index  map[uint64][]int // entries by span id, for calls of many spans
	ends   []int            // where entries end, likewise
}

const (
	indexed = 64 // spans from which on ids are looked up, not gone through
	// Bad spans that are told apart; of more of them each is counted.
	mostBad = 4096
)

// Facts of a span, as bits of its first byte.
const (
	factDead = 1 << iota
	factError
	factRoot
	factLeg
	factWait
	factFidelity
	factLatencies
	factMore // trace, skipped, owner
)

func (s *State) extra() *rare {
	if s.rare == nil {
		s.rare = &rare{}
	}
	return s.rare
}

// Spans is the number of spans of which facts are kept.
func (s *State) Spans() int { return len(s.ids) - int(s.dead) }

// Size is the memory that the state points to, in bytes.
func (s *State) Size() int {
	size := 8*cap(s.ids) + cap(s.facts)
	if r := s.rare; r != nil {
		const itself = 136
		size += itself + 16*cap(r.traces) + 16*cap(r.owners) + 8*cap(r.bad) + 8*cap(r.ends) + 56*len(r.index)
	}
	return size
}

// SeriesBytes is the part of it that is the text of media series.
func (s *State) SeriesBytes() int { return int(s.series) }

// IsBad says whether a span cannot be read as a whole: it has no id, no start, or ends before it starts.
func (in *Input) IsBad() bool {
	return in.SpanID == [8]byte{} || in.Start == 0 || in.End < in.Start
}

// IsRootName says whether the name is that of a call's root.
func (in *Input) IsRootName() bool {
	return in.Name == spec.SpanCallInbound || in.Name == spec.SpanCallOutbound
}

// Add takes in a span, in any order; of copies the latest end counts, then the one received last.
func (s *State) Add(in *Input, p *Parameters) {
	if in.Scope == ownScope {
		return
	}
	if in.IsBad() {
		s.addBad(in)
		return
	}
	if len(s.ids) == 0 && s.facts == nil {
		s.home, s.base = in.TraceID, in.Start
	}
	var buffer [128]byte
	f := fact{id: binary.BigEndian.Uint64(in.SpanID[:]), start: in.Start, end: in.End}
	place := s.place(in.TraceID)
	at, found := s.find(f.id, place)
	if found {
		if known := s.endAt(at); in.End < known {
			return
		}
		s.facts[at] |= factDead
		s.dead++
	}
	text := readFact(&f, in, p, buffer[:0])
	s.append(&f, place, text)
	if s.dead > 32 && int(s.dead) > len(s.ids)/2 {
		s.compact()
	}
}

var badSeed = maphash.MakeSeed()

// addBad counts a span that cannot be read: those of one id once, and of those without one the alike.
func (s *State) addBad(in *Input) {
	var hash maphash.Hash
	hash.SetSeed(badSeed)
	_, _ = hash.Write(in.TraceID[:])
	_, _ = hash.Write(in.SpanID[:])
	if in.SpanID == [8]byte{} {
		_, _ = hash.Write(in.ParentID[:])
		var times [16]byte
		binary.LittleEndian.PutUint64(times[:8], in.Start)
		binary.LittleEndian.PutUint64(times[8:], in.End)
		_, _ = hash.Write(times[:])
		_, _ = hash.WriteString(in.Name)
	}
	s.countBad(hash.Sum64())
}

func (s *State) countBad(hash uint64) {
	r := s.extra()
	at, known := slices.BinarySearch(r.bad, hash)
	if !known && len(r.bad) < mostBad {
		r.bad = slices.Insert(r.bad, at, hash)
	}
}

// place is 0 for the home trace, else one more than its place in traces.
func (s *State) place(trace [16]byte) int {
	if trace == s.home {
		return 0
	}
	r := s.extra()
	at := slices.Index(r.traces, trace)
	if at < 0 {
		at = len(r.traces)
		r.traces = append(r.traces, trace)
	}
	return at + 1
}

func (s *State) trace(place int) [16]byte {
	if place == 0 {
		return s.home
	}
	return s.rare.traces[place-1]
}

// find gives where the facts of a span begin.
func (s *State) find(id uint64, place int) (at int, found bool) {
	if len(s.ids) >= indexed {
		return s.findIndexed(id, place)
	}
	at = -1
	entry := 0
	for i, one := range s.ids {
		if one != id {
			continue
		}
		if at < 0 {
			at = 0
		}
		for ; entry < i; entry++ {
			at += s.length(at)
		}
		if s.facts[at]&factDead == 0 && s.placeAt(at) == place {
			return at, true
		}
	}
	return 0, false
}

func (s *State) findIndexed(id uint64, place int) (at int, found bool) {
	r := s.extra()
	if r.index == nil {
		r.index = make(map[uint64][]int, 2*len(s.ids))
		for i, end := 0, 0; i < len(s.ids); i++ {
			r.index[s.ids[i]] = append(r.index[s.ids[i]], end)
			end += s.length(end)
		}
	}
	for _, at := range r.index[id] {
		if s.facts[at]&factDead == 0 && s.placeAt(at) == place {
			return at, true
		}
	}
	return 0, false
}

// append adds the facts of a span at the end.
func (s *State) append(f *fact, place int, series []byte) {
	at := len(s.facts)
	var buffer [192]byte
	b := s.writeFact(buffer[:0], f, place, series)
	s.ids = grown(s.ids, 1)
	s.ids = append(s.ids, f.id)
	s.facts = grown(s.facts, len(b)+binary.MaxVarintLen32)
	s.facts = append(s.facts, b[0])
	s.facts = binary.AppendUvarint(s.facts, uint64(len(b)-1))
	s.facts = append(s.facts, b[1:]...)
	s.series += int32(min(len(series), math.MaxInt32))
	if s.rare != nil && s.rare.index != nil {
		s.rare.index[f.id] = append(s.rare.index[f.id], at)
	}
}

// grown makes room for n more: slices grow by a quarter, as a hundred thousand of them live at once.
func grown[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	room := max(len(s)+n, len(s)+len(s)/4+8)
	fresh := make([]T, len(s), room)
	copy(fresh, s)
	return fresh
}

// length is that of the entry that begins here: flags, length of the rest, the rest.
func (s *State) length(at int) int {
	rest, n := binary.Uvarint(s.facts[at+1:])
	return 1 + n + int(rest)
}

// compact takes out what is marked.
func (s *State) compact() {
	ids, facts := s.ids[:0], s.facts[:0]
	for i, at := 0, 0; i < len(s.ids); i++ {
		length := s.length(at)
		if s.facts[at]&factDead == 0 {
			ids = append(ids, s.ids[i])
			facts = append(facts, s.facts[at:at+length]...)
		}
		at += length
	}
	s.ids, s.facts, s.dead = ids, facts, 0
	if s.rare != nil {
		s.rare.index = nil
	}
}

// entry is a fact as it stands in the state, read up to where its rest begins.
func (s *State) entry(at int) (flags byte, rest []byte) {
	length, n := binary.Uvarint(s.facts[at+1:])
	begin := at + 1 + n
	return s.facts[at], s.facts[begin : begin+int(length)]
}

func (s *State) endAt(at int) uint64 {
	_, rest := s.entry(at)
	r := bytesReader{rest}
	r.skip(2)
	start := s.base + uint64(r.varint())
	return start + r.uvarint()
}

func (s *State) placeAt(at int) int {
	flags, rest := s.entry(at)
	if flags&factMore == 0 {
		return 0
	}
	r := bytesReader{rest}
	r.skip(2)
	r.varint()
	r.uvarint()
	return int(r.uvarint())
}

// writeFact has: flags; layer and activity in two bytes, with what a lookup says of waiting; start from base; length;
// then by flags: place of the trace, skipped, owner; outcome, medium and what of them was skipped; wait; fidelity;
// latencies; leg.
func (s *State) writeFact(b []byte, f *fact, place int, series []byte) []byte {
	flags := byte(0)
	set := func(is bool, flag byte) {
		if is {
			flags |= flag
		}
	}
	owner := s.ownerPlace(f.owner)
	more := place != 0 || f.skipped != 0 || owner != 0
	set(f.isError, factError)
	set(f.isRoot, factRoot)
	set(f.leg != nil, factLeg)
	set(f.hasWait, factWait)
	set(f.fidelity != 1, factFidelity)
	set(len(f.latencies) > 0, factLatencies)
	set(more, factMore)
	b = append(b, flags, byte(f.layer), byte(f.activity)|f.waiting<<6)
	b = binary.AppendVarint(b, int64(f.start-s.base))
	b = binary.AppendUvarint(b, f.end-f.start)
	if more {
		b = binary.AppendUvarint(b, uint64(place))
		b = binary.AppendUvarint(b, uint64(f.skipped))
		b = binary.AppendUvarint(b, uint64(owner))
	}
	if f.isRoot {
		b = append(b, byte(f.outcome), byte(f.rootSkipped)<<1|boolByte(f.isWeb))
	}
	if f.hasWait {
		b = binary.AppendUvarint(b, f.wait)
	}
	if f.fidelity != 1 {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f.fidelity))
	}
	if len(f.latencies) > 0 {
		b = binary.AppendUvarint(b, uint64(len(f.latencies)))
		for _, one := range f.latencies {
			b = append(b, byte(one.activity), boolByte(one.ok))
			b = binary.AppendUvarint(b, one.ns)
		}
	}
	if f.leg != nil {
		b = append(b, boolByte(f.leg.isPath)|boolByte(f.leg.ie[toAgent] != 0)<<1|boolByte(f.leg.ie[toCustomer] != 0)<<2)
		for _, ie := range f.leg.ie {
			if ie != 0 {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(ie))
			}
		}
		b = binary.AppendUvarint(b, f.leg.window)
		b = append(b, series...)
	}
	return b
}

// ownerPlace is 0 for none, else one more than its place among the call's owners.
func (s *State) ownerPlace(owner string) int {
	if owner == "" {
		return 0
	}
	r := s.extra()
	at := slices.Index(r.owners, owner)
	if at < 0 {
		at = len(r.owners)
		// Calls have the same few owners: they share the text.
		r.owners = append(r.owners, unique.Make(strings.Clone(owner)).Value())
	}
	return at + 1
}

func boolByte(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// all reads the facts of all spans.
func (s *State) all() []fact {
	facts := make([]fact, 0, s.Spans())
	for i, at := 0, 0; i < len(s.ids); i++ {
		flags, rest := s.entry(at)
		if flags&factDead == 0 {
			facts = append(facts, s.readEntry(s.ids[i], flags, rest))
		}
		at += s.length(at)
	}
	return facts
}

func (s *State) readEntry(id uint64, flags byte, rest []byte) fact {
	r := bytesReader{rest}
	f := fact{id: id, fidelity: 1, trace: s.home, isError: flags&factError != 0, isRoot: flags&factRoot != 0}
	f.layer = layer(r.byte())
	packed := r.byte()
	f.activity, f.waiting = activity(packed&63), packed>>6
	f.start = s.base + uint64(r.varint())
	f.end = f.start + r.uvarint()
	if flags&factMore != 0 {
		f.trace = s.trace(int(r.uvarint()))
		f.skipped = int(r.uvarint())
		if owner := r.uvarint(); owner > 0 {
			f.owner = s.rare.owners[owner-1]
		}
	}
	if f.isRoot {
		f.outcome = outcome(r.byte())
		packed := r.byte()
		f.rootSkipped, f.isWeb = int(packed>>1), packed&1 != 0
	}
	if flags&factWait != 0 {
		f.hasWait, f.wait = true, r.uvarint()
	}
	if flags&factFidelity != 0 {
		f.fidelity = r.float()
	}
	if flags&factLatencies != 0 {
		f.latencies = make([]latency, r.uvarint())
		for i := range f.latencies {
			f.latencies[i] = latency{activity(r.byte()), r.byte() != 0, r.uvarint()}
		}
	}
	if flags&factLeg != 0 {
		f.leg = r.leg(&f)
	}
	return f
}

// Merge adds the spans of another state, as if they had been added to this one.
func (s *State) Merge(other *State) {
	for i, at := 0, 0; i < len(other.ids); i++ {
		flags, rest := other.entry(at)
		at += other.length(at)
		if flags&factDead != 0 {
			continue
		}
		f := other.readEntry(other.ids[i], flags, rest)
		if len(s.ids) == 0 && s.facts == nil {
			s.home, s.base = f.trace, f.start
		}
		place := s.place(f.trace)
		if known, found := s.find(f.id, place); found {
			if f.end < s.endAt(known) {
				continue
			}
			s.facts[known] |= factDead
			s.dead++
		}
		var series []byte
		if f.leg != nil {
			series = f.leg.text
		}
		s.append(&f, place, series)
	}
	if other.rare != nil {
		for _, hash := range other.rare.bad {
			s.countBad(hash)
		}
	}
}

const storedVersion = 1

// Append adds the stored form of the state to dst.
func (s *State) Append(dst []byte) []byte {
	if s.dead > 0 {
		s.compact()
	}
	r := s.rare
	if r == nil {
		r = &rare{}
	}
	dst = append(dst, storedVersion)
	dst = append(dst, s.home[:]...)
	dst = binary.AppendUvarint(dst, s.base)
	dst = binary.AppendUvarint(dst, uint64(len(r.traces)))
	for _, one := range r.traces {
		dst = append(dst, one[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.owners)))
	for _, one := range r.owners {
		dst = binary.AppendUvarint(dst, uint64(len(one)))
		dst = append(dst, one...)
	}
	// Hashes are of this process alone; after a restart they still are as many.
	dst = binary.AppendUvarint(dst, uint64(len(r.bad)))
	for _, one := range r.bad {
		dst = binary.LittleEndian.AppendUint64(dst, one)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.ids)))
	for _, one := range s.ids {
		dst = binary.LittleEndian.AppendUint64(dst, one)
	}
	return append(dst, s.facts...)
}

var errStored = errors.New("not the stored facts of a call")

// Load reads what Append wrote. Of anything else it says that it is none.
func Load(src []byte) (state State, err error) {
	defer func() { // a record that is cut or garbled is found by reading past its end
		if cause := recover(); cause != nil {
			state, err = State{}, fmt.Errorf("%w: %v", errStored, cause)
		}
	}()
	r := bytesReader{src}
	if version := r.byte(); version != storedVersion {
		return State{}, fmt.Errorf("%w: version %d, and this is version %d", errStored, version, storedVersion)
	}
	s := State{home: [16]byte(r.take(16)), base: r.uvarint()}
	var extra rare
	for range r.count(16) {
		extra.traces = append(extra.traces, [16]byte(r.take(16)))
	}
	for range r.count(1) {
		extra.owners = append(extra.owners, unique.Make(string(r.take(r.count(1)))).Value())
	}
	for range r.count(8) {
		extra.bad = append(extra.bad, binary.LittleEndian.Uint64(r.take(8)))
	}
	slices.Sort(extra.bad)
	extra.bad = slices.Compact(extra.bad)
	if extra.traces != nil || extra.owners != nil || extra.bad != nil {
		s.rare = &extra
	}
	for range r.count(8) {
		s.ids = append(s.ids, binary.LittleEndian.Uint64(r.take(8)))
	}
	s.facts = append([]byte(nil), r.rest...)
	at := 0
	for _, id := range s.ids {
		flags, rest := s.entry(at)
		f := s.readEntry(id, flags, rest)
		if flags&factDead != 0 || !f.isSound() {
			return State{}, errStored
		}
		if f.leg != nil {
			s.series += int32(len(f.leg.text))
		}
		at += s.length(at)
	}
	if at != len(s.facts) {
		return State{}, errStored
	}
	return s, nil
}

// isSound says whether stored facts are such as readFact gives.
func (f *fact) isSound() bool {
	if f.layer < callLayer || f.layer >= layers || f.activity >= activities || f.end < f.start || f.outcome >= outcomes {
		return false
	}
	if !(f.fidelity >= 0 && f.fidelity <= 1) || f.waiting > 2 {
		return false
	}
	for _, one := range f.latencies {
		if one.activity >= activities {
			return false
		}
	}
	if f.leg == nil {
		return true
	}
	for _, ie := range f.leg.ie {
		if !(ie >= 0 && ie <= worstIe) {
			return false
		}
	}
	return f.layer.isMedia() && f.leg.isSound()
}

// bytesReader takes facts apart. It panics past the end: only Load reads what others may have written.
type bytesReader struct{ rest []byte }

func (r *bytesReader) skip(n int) { r.rest = r.rest[n:] }

func (r *bytesReader) take(n int) []byte {
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *bytesReader) byte() byte { return r.take(1)[0] }

func (r *bytesReader) uvarint() uint64 {
	value, n := binary.Uvarint(r.rest)
	if n <= 0 {
		panic("a number is cut off")
	}
	r.skip(n)
	return value
}

func (r *bytesReader) varint() int64 {
	value, n := binary.Varint(r.rest)
	if n <= 0 {
		panic("a number is cut off")
	}
	r.skip(n)
	return value
}

func (r *bytesReader) float() float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(r.take(8)))
}

// count is a number of things of this size that the rest can hold.
func (r *bytesReader) count(size int) int {
	value := r.uvarint()
	if value > uint64(len(r.rest)/size) {
		panic("more than there is")
	}
	return int(value)
}
