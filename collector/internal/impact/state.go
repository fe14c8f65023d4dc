package impact

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
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
// The facts stand one after the other in facts, as writeFact has them. Of a span that came again with a later end the
// old facts stay there, marked, and are no longer counted.
type State struct {
	home   [16]byte // trace id of the first span; others are few
	base   uint64   // start of the first span, from which times are counted
	facts  []byte
	owners unique.Handle[string] // those that spans name, joined: calls have the same few, and share the text
	rare   *rare
	seen   [2]uint64 // bits of the ids that came: most spans are new, and need not be looked for
	count  int32     // entries of facts
	dead   int32     // those of them that are marked
}

// rare is what few calls have.
type rare struct {
	traces [][16]byte       // trace ids besides home
	bad    []uint64         // hashes of spans that could not be read, each once
	others int              // more of these, which are not told apart
	index  map[uint64][]int // entries by span id, for calls of many spans
}

const (
	indexed = 64 // spans from which on ids are looked up, not gone through
	// Bad spans that are told apart; of further ones each is counted.
	mostBad = 4096
	// Owners of one call whose text is shared with other calls, and bytes of one: a call has one for each layer, or a
	// few. Any other stands with its span, at the place ownOwner.
	mostOwners      = 64
	longestShared   = 64
	ownOwner        = mostOwners + 1
	ownersSeparator = "\x00"
)

// Facts of a span, as bits of its first byte. One that is bare has its end and nothing else: a span of another maker
// takes no part in the model, but a copy of it may.
const (
	factDead = 1 << iota
	factError
	factRoot
	factLeg
	factWait
	factOther // fidelity, latencies
	factMore  // trace, skipped, owner
	factBare
)

const (
	// Of an entry: flags, then the span id.
	idAt   = 1
	restAt = idAt + 8
)

func (s *State) extra() *rare {
	if s.rare == nil {
		s.rare = &rare{}
	}
	return s.rare
}

// Spans is the number of spans of which facts are kept.
func (s *State) Spans() int { return int(s.count - s.dead) }

// Size is the memory that the state points to, in bytes, unused room included. Owners, whose text calls share, are
// counted as if they were this call's alone.
func (s *State) Size() int {
	size := cap(s.facts) + len(s.ownersText())
	if r := s.rare; r != nil {
		const itself, entry = 56, 56
		size += itself + 16*cap(r.traces) + 8*cap(r.bad) + entry*len(r.index)
	}
	return size
}

// SeriesBytes is how much of Size is the text of media series.
func (s *State) SeriesBytes() int {
	bytes := 0
	for at := 0; at < len(s.facts); at += s.length(at) {
		if s.facts[at]&factLeg != 0 {
			bytes += len(s.factAt(at).leg.text)
		}
	}
	return bytes
}

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
	if s.count == 0 {
		s.home, s.base = in.TraceID, in.Start
	}
	var buffer [512]byte
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
	if s.dead > 32 && s.dead > s.count/2 {
		s.compact()
	}
}

// addBad counts a span that cannot be read: those of one id once, and of those without one the alike. The hash is the
// same in every process, so that a copy is known again after a restart.
func (s *State) addBad(in *Input) {
	var buffer [128]byte
	key := append(append(buffer[:0], in.TraceID[:]...), in.SpanID[:]...)
	if in.SpanID == [8]byte{} {
		key = append(key, in.ParentID[:]...)
		key = binary.LittleEndian.AppendUint64(key, in.Start)
		key = binary.LittleEndian.AppendUint64(key, in.End)
		key = append(key, in.Name...)
	}
	digest := sha256.Sum256(key)
	s.countBad(binary.LittleEndian.Uint64(digest[:]))
}

func (s *State) countBad(hash uint64) {
	r := s.extra()
	at, known := slices.BinarySearch(r.bad, hash)
	switch {
	case known:
	case len(r.bad) < mostBad:
		r.bad = slices.Insert(r.bad, at, hash)
	default:
		r.others++
	}
}

// badSpans is how many spans could not be read as a whole.
func (s *State) badSpans() int {
	if s.rare == nil {
		return 0
	}
	return len(s.rare.bad) + s.rare.others
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

// seenBit is the bit of an id; ids may be random or counted.
func seenBit(id uint64) (word int, bit uint64) {
	hash := id * 0x9e3779b97f4a7c15
	return int(hash >> 63), 1 << (hash >> 57 & 63)
}

// find gives where the facts of a span begin.
func (s *State) find(id uint64, place int) (at int, found bool) {
	if s.count >= indexed {
		return s.findIndexed(id, place)
	}
	if word, bit := seenBit(id); s.seen[word]&bit == 0 {
		return 0, false
	}
	for at = 0; at < len(s.facts); at += s.length(at) {
		if s.idOf(at) == id && s.isOf(at, place) {
			return at, true
		}
	}
	return 0, false
}

func (s *State) idOf(at int) uint64 { return binary.BigEndian.Uint64(s.facts[at+idAt:]) }

func (s *State) isOf(at, place int) bool {
	return s.facts[at]&factDead == 0 && s.placeAt(at) == place
}

func (s *State) findIndexed(id uint64, place int) (at int, found bool) {
	r := s.extra()
	if r.index == nil {
		r.index = make(map[uint64][]int, 2*s.count)
		for at := 0; at < len(s.facts); at += s.length(at) {
			r.index[s.idOf(at)] = append(r.index[s.idOf(at)], at)
		}
	}
	for _, at := range r.index[id] {
		if s.isOf(at, place) {
			return at, true
		}
	}
	return 0, false
}

// append adds the facts of a span at the end.
func (s *State) append(f *fact, place int, series []byte) {
	at := len(s.facts)
	var buffer [192]byte
	var rest []byte
	flags := byte(factBare)
	if s.isBare(f, place) {
		rest = binary.AppendVarint(buffer[:0], int64(f.end-s.base))
	} else {
		flags, rest = s.writeFact(buffer[:0], f, place)
	}
	s.facts = grown(s.facts, restAt+binary.MaxVarintLen32+len(rest)+len(series))
	s.facts = append(s.facts, flags)
	s.facts = binary.BigEndian.AppendUint64(s.facts, f.id)
	if flags&factBare == 0 {
		s.facts = binary.AppendUvarint(s.facts, uint64(len(rest)+len(series)))
	}
	s.facts = append(s.facts, rest...)
	s.facts = append(s.facts, series...)
	s.see(f.id)
	s.count++
	if s.rare != nil && s.rare.index != nil {
		s.rare.index[f.id] = append(s.rare.index[f.id], at)
	}
}

func (s *State) see(id uint64) {
	word, bit := seenBit(id)
	s.seen[word] |= bit
}

// isBare says whether the model needs nothing of a span but that it is known.
func (*State) isBare(f *fact, place int) bool {
	return place == 0 && f.layer == noLayer && f.activity == noActivity && f.skipped == 0 && f.latencies == nil
}

// grown makes room for n more bytes. It grows by an eighth, as a hundred thousand of them live at once.
func grown(s []byte, n int) []byte {
	if cap(s)-len(s) >= n {
		return s
	}
	fresh := make([]byte, len(s), len(s)+n+max(len(s)/12, 24))
	copy(fresh, s)
	return fresh
}

// length is that of the entry that begins here.
func (s *State) length(at int) int {
	if s.facts[at]&factBare != 0 {
		end := restAt
		for s.facts[at+end] >= 0x80 {
			end++
		}
		return end + 1
	}
	rest, n := binary.Uvarint(s.facts[at+restAt:])
	return restAt + n + int(rest)
}

// compact takes out what is marked.
func (s *State) compact() {
	facts := s.facts[:0]
	for at := 0; at < len(s.facts); {
		length := s.length(at)
		if s.facts[at]&factDead == 0 {
			facts = append(facts, s.facts[at:at+length]...)
		}
		at += length
	}
	s.facts, s.count, s.dead = facts, s.count-s.dead, 0
	if s.rare != nil {
		s.rare.index = nil
	}
}

// entry is what stands in the state of a span after its id.
func (s *State) entry(at int) (flags byte, rest []byte) {
	if flags = s.facts[at]; flags&factBare != 0 {
		return flags, s.facts[at+restAt:]
	}
	length, n := binary.Uvarint(s.facts[at+restAt:])
	begin := at + restAt + n
	return flags, s.facts[begin : begin+int(length)]
}

func (s *State) endAt(at int) uint64 {
	flags, rest := s.entry(at)
	r := bytesReader{rest}
	if flags&factBare != 0 {
		return s.base + uint64(r.varint())
	}
	r.skip(1)
	start := s.base + uint64(r.varint())
	return start + r.uvarint()
}

func (s *State) placeAt(at int) int {
	flags, rest := s.entry(at)
	if flags&factMore == 0 {
		return 0
	}
	r := bytesReader{rest}
	r.skip(1)
	r.varint()
	r.uvarint()
	if r.uvarint()&1 == 0 {
		return 0
	}
	return int(r.uvarint() >> 2)
}

// writeFact has: layer and activity in a byte; start from base; length; then by flags: owner, place of the trace, what
// a lookup says of waiting, skipped; outcome, medium and what of them was skipped; wait; fidelity and latencies; of a
// leg what stands before the text of its series.
func (s *State) writeFact(b []byte, f *fact, place int) (flags byte, rest []byte) {
	set := func(is bool, flag byte) {
		if is {
			flags |= flag
		}
	}
	owner := s.ownerPlace(f.owner)
	set(f.isError, factError)
	set(f.isRoot, factRoot)
	set(f.leg != nil, factLeg)
	set(f.hasWait, factWait)
	set(f.fidelity != 1 || len(f.latencies) > 0, factOther)
	set(place != 0 || f.skipped != 0 || owner != 0 || f.waiting != waitingUnsaid, factMore)
	b = append(b, byte(f.layer-callLayer)<<4|byte(f.activity))
	b = binary.AppendVarint(b, int64(f.start-s.base))
	b = binary.AppendUvarint(b, f.end-f.start)
	if flags&factMore != 0 {
		// Nearly always an owner alone: it shares its byte with what says that there is more.
		others := uint64(place)<<2 | uint64(f.waiting)
		hasOthers := others != 0 || f.skipped != 0
		b = binary.AppendUvarint(b, uint64(owner)<<1|uint64(boolByte(hasOthers)))
		if hasOthers {
			b = binary.AppendUvarint(b, others)
			b = binary.AppendUvarint(b, uint64(f.skipped))
		}
	}
	if owner == ownOwner {
		b = binary.AppendUvarint(b, uint64(len(f.owner)))
		b = append(b, f.owner...)
	}
	if f.isRoot {
		b = append(b, byte(f.outcome), byte(f.rootSkipped)<<1|boolByte(f.isWeb))
	}
	if f.hasWait {
		b = binary.AppendUvarint(b, f.wait)
	}
	if flags&factOther != 0 {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f.fidelity))
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
	}
	return flags, b
}

// ownerPlace is 0 for none, ownOwner for one whose text stands with its span, else one more than its place among the
// call's owners.
func (s *State) ownerPlace(owner string) int {
	if owner == "" {
		return 0
	}
	if len(owner) > longestShared || strings.Contains(owner, ownersSeparator) {
		return ownOwner
	}
	text := s.ownersText()
	if text == "" {
		s.owners = unique.Make(owner)
		return 1
	}
	place := 1
	for known := range strings.SplitSeq(text, ownersSeparator) {
		if known == owner {
			return place
		}
		place++
	}
	if place > mostOwners {
		return ownOwner
	}
	s.owners = unique.Make(text + ownersSeparator + owner)
	return place
}

// ownerAt is the owner of a place.
func (s *State) ownerAt(place int) string {
	if place == 0 {
		return ""
	}
	return s.ownerNames()[place-1]
}

func (s *State) ownersText() string {
	if s.owners == (unique.Handle[string]{}) {
		return ""
	}
	return s.owners.Value()
}

func (s *State) ownerNames() []string {
	if text := s.ownersText(); text != "" {
		return strings.Split(text, ownersSeparator)
	}
	return nil
}

func boolByte(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// all reads the facts of all spans that take part in the model.
func (s *State) all() []fact {
	facts := make([]fact, 0, s.Spans())
	for at := 0; at < len(s.facts); at += s.length(at) {
		if s.facts[at]&(factDead|factBare) == 0 {
			facts = append(facts, s.factAt(at))
		}
	}
	return facts
}

func (s *State) factAt(at int) fact {
	flags, rest := s.entry(at)
	r := bytesReader{rest}
	f := fact{id: s.idOf(at), fidelity: 1, trace: s.home, isError: flags&factError != 0, isRoot: flags&factRoot != 0}
	if flags&factBare != 0 {
		f.layer, f.end = noLayer, s.base+uint64(r.varint())
		f.start = f.end // nobody asks
		return f
	}
	packed := r.byte()
	f.layer, f.activity = layer(packed>>4)+callLayer, activity(packed&15)
	f.start = s.base + uint64(r.varint())
	f.end = f.start + r.uvarint()
	if flags&factMore != 0 {
		owner := r.uvarint()
		if owner&1 != 0 {
			others := r.uvarint()
			f.trace, f.waiting = s.trace(int(others>>2)), byte(others&3)
			f.skipped = int(r.uvarint())
		}
		if owner >>= 1; owner == ownOwner {
			f.owner = string(r.take(r.count(1)))
		} else {
			f.owner = s.ownerAt(int(owner))
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
	if flags&factOther != 0 {
		f.fidelity = r.float()
		for range r.count(3) {
			f.latencies = append(f.latencies, latency{activity(r.byte()), r.byte() != 0, r.uvarint()})
		}
	}
	if flags&factLeg != 0 {
		f.leg = r.leg()
	}
	return f
}

// Merge adds the spans of another state, as if they had been added to this one.
func (s *State) Merge(other *State) {
	for at := 0; at < len(other.facts); at += other.length(at) {
		if other.facts[at]&factDead != 0 {
			continue
		}
		f := other.factAt(at)
		if s.count == 0 {
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
		if other.rare.others > 0 {
			s.extra().others += other.rare.others
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
	owners := s.ownerNames()
	dst = binary.AppendUvarint(dst, uint64(len(owners)))
	for _, one := range owners {
		dst = binary.AppendUvarint(dst, uint64(len(one)))
		dst = append(dst, one...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.bad)))
	for _, one := range r.bad {
		dst = binary.LittleEndian.AppendUint64(dst, one)
	}
	dst = binary.AppendUvarint(dst, uint64(r.others))
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
	for i := range r.count(1) {
		if owner := string(r.take(r.count(1))); s.ownerPlace(owner) != i+1 {
			return State{}, fmt.Errorf("%w: owner %d is none", errStored, i+1)
		}
	}
	for range r.count(8) {
		extra.bad = append(extra.bad, binary.LittleEndian.Uint64(r.take(8)))
	}
	extra.others = int(min(r.uvarint(), math.MaxInt32))
	slices.Sort(extra.bad)
	extra.bad = slices.Compact(extra.bad)
	if extra.traces != nil || extra.bad != nil || extra.others > 0 {
		s.rare = &extra
	}
	s.facts = make([]byte, len(r.rest)) // no room behind: what reaches past the end is found
	copy(s.facts, r.rest)
	for at := 0; at < len(s.facts); {
		length, ok := s.lengthIn(at)
		if !ok {
			return State{}, fmt.Errorf("%w: cut off after byte %d", errStored, len(src))
		}
		if f := s.factAt(at); s.facts[at]&factDead == 0 && f.isSound() {
			s.see(f.id)
			s.count++
			at += length
			continue
		}
		return State{}, fmt.Errorf("%w: no facts of a span at byte %d", errStored, len(src)-len(s.facts)+at)
	}
	return s, nil
}

// lengthIn is length, of facts that others may have written: false where the entry is not there whole.
func (s *State) lengthIn(at int) (length int, ok bool) {
	rest := s.facts[at:]
	if len(rest) <= restAt {
		return 0, false
	}
	value, n := binary.Uvarint(rest[restAt:])
	switch {
	case n <= 0:
		return 0, false
	case rest[0]&factBare != 0:
		return restAt + n, true
	case value > uint64(len(rest)-restAt-n):
		return 0, false
	}
	return restAt + n + int(value), true
}

// isSound says whether stored facts are such as readFact gives.
func (f *fact) isSound() bool {
	if f.layer < callLayer || f.layer >= layers || f.layer == unobserved || f.activity >= activities || f.end < f.start || f.outcome >= outcomes {
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

const cutOff = "cut off"

func (r *bytesReader) skip(n int) { r.rest = r.rest[n:] }

func (r *bytesReader) take(n int) []byte {
	if n > len(r.rest) {
		panic(cutOff)
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *bytesReader) byte() byte { return r.take(1)[0] }

func (r *bytesReader) uvarint() uint64 {
	value, n := binary.Uvarint(r.rest)
	if n <= 0 {
		panic(cutOff)
	}
	r.skip(n)
	return value
}

func (r *bytesReader) varint() int64 {
	value, n := binary.Varint(r.rest)
	if n <= 0 {
		panic(cutOff)
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
		panic(cutOff)
	}
	return int(value)
}
