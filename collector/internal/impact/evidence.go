package impact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Evidence is an item that a verdict rests on.
type Evidence struct {
	Layer string
	// What is loss, delay, ie, an activity, fidelity, or an outcome.
	What string
	// HasValue is false for an outcome. Value is the worst: percent (loss; fidelity: context lost), ms (delay),
	// s (waits), or plain (ie).
	HasValue bool
	Value    float64
	Seconds  float64 // charged
	SpanID   [8]byte // that says so, zero for none
	// Text is the item as the root says it: `carrier: loss 15.5 %, 53.2 s (span dbc1b4c900ffe48d)`.
	Text string
}

// EvidenceSpan is a stretch of lost time that a judge adds to the trace.
type EvidenceSpan struct {
	TraceID  [16]byte
	SpanID   [8]byte
	ParentID [8]byte // zero for none
	Name     string
	Start    uint64 // ns
	End      uint64
	Layer    string
	What     string
	Owner    string  // of the span that was worst in the stretch, "" for none
	Seconds  float64 // 3 decimals
	IsError  bool
	Message  string // of the status
}

// Service is the span's `service.name`.
func (e *EvidenceSpan) Service() string { return ServiceOf(e.Layer, e.Owner) }

const noOwner = "unknown"

// ServiceOf is the `service.name` of what a judge says of a layer: who did it, as that is what tools show of every span.
func ServiceOf(layer, owner string) string {
	if owner == "" {
		owner = noOwner
	}
	return layer + ": " + owner
}

func spanIDOf(id uint64) (text [8]byte) {
	for i := range text {
		text[i] = byte(id >> (56 - 8*i))
	}
	return text
}

// worstOf has the largest value; of equal ones that of the span that began first.
func worstOf(entries []entry) *entry {
	worst := &entries[0]
	for i := 1; i < len(entries); i++ {
		if one := &entries[i]; isWorseEntry(one, worst) {
			worst = one
		}
	}
	return worst
}

func isWorseEntry(a, b *entry) bool {
	if a.hasValue && b.hasValue && a.value != b.value {
		return a.value > b.value
	}
	var startA, startB, idA, idB uint64
	if a.span != nil {
		startA, idA = a.span.start, a.span.id
	}
	if b.span != nil {
		startB, idB = b.span.start, b.span.id
	}
	if startA != startB {
		return startA < startB
	}
	return idA < idB
}

// comesBefore orders items: by seconds (whole ms), then path order, then what.
func comesBefore(lostA float64, a layer, whatA string, lostB float64, b layer, whatB string) int {
	if msA, msB := milliseconds(lostA), milliseconds(lostB); msA != msB {
		return compare(msB, msA)
	}
	if a != b {
		return compare(int(a), int(b))
	}
	return compare(whatA, whatB)
}

// settle adds the items up and sorts them, the costliest first.
func (l *ledger) settle() {
	for _, one := range l.items {
		for i := range one.entries {
			one.lost += one.entries[i].lost
		}
		one.worst = worstOf(one.entries)
	}
	l.items = slices.DeleteFunc(l.items, func(one *item) bool { return one.lost <= 0 })
	slices.SortFunc(l.items, func(a, b *item) int { return comesBefore(a.lost, a.layer, a.what, b.lost, b.layer, b.what) })
}

func (i *item) evidence() Evidence {
	one := Evidence{
		Layer: i.layer.String(), What: i.what, HasValue: i.worst.hasValue, Value: i.worst.value, Seconds: i.lost / 1e9,
	}
	if i.worst.span != nil {
		one.SpanID = spanIDOf(i.worst.span.id)
	}
	one.Text = i.text()
	return one
}

func (i *item) text() string {
	var b strings.Builder
	b.WriteString(i.layer.String())
	b.WriteString(": ")
	b.WriteString(i.what)
	if i.worst.hasValue {
		b.WriteByte(' ')
		b.WriteString(tenths(rounded(i.worst.value, 1)))
		b.WriteString(unitOf(i.what))
	}
	b.WriteString(", ")
	b.WriteString(tenths(roundedSeconds(i.lost, 1)))
	b.WriteString(" s")
	if i.worst.span != nil {
		id := spanIDOf(i.worst.span.id)
		fmt.Fprintf(&b, " (span %s)", hex.EncodeToString(id[:]))
	}
	return b.String()
}

func tenths(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }

func unitOf(what string) string {
	switch what {
	case metricNames[lossMetric], fidelityWhat:
		return " %"
	case metricNames[delayMetric]:
		return " ms"
	case metricNames[ieMetric]:
		return ""
	}
	return " s" // every wait
}

// stretch is time lost for one item without a long gap.
type stretch struct {
	item       *item
	start, end uint64
	lost       float64
	span       *fact // that was worst in it, nil for none
}

// stretchesOf has those of all items.
func stretchesOf(items []*item, p *Parameters) []stretch {
	var found []stretch
	for _, one := range items {
		entries := one.entries
		slices.SortStableFunc(entries, func(a, b entry) int { return compare(a.start, b.start) })
		begun := 0
		var end uint64
		for i := range entries {
			if i > begun && entries[i].start >= end && entries[i].start-end >= p.evidenceGap {
				found = append(found, stretchOf(one, entries[begun:i], end))
				begun = i
				end = 0
			}
			end = max(end, entries[i].end)
		}
		found = append(found, stretchOf(one, entries[begun:], end))
	}
	return found
}

func stretchOf(one *item, entries []entry, end uint64) stretch {
	s := stretch{item: one, start: entries[0].start, end: end, span: worstOf(entries).span}
	for i := range entries {
		s.lost += entries[i].lost
	}
	return s
}

// evidenceSpans are the costliest stretches, in order of time.
func evidenceSpans(items []*item, root *fact, p *Parameters) []EvidenceSpan {
	found := stretchesOf(items, p)
	slices.SortFunc(found, func(a, b stretch) int {
		if order := comesBefore(a.lost, a.item.layer, a.item.what, b.lost, b.item.layer, b.item.what); order != 0 {
			return order
		}
		return compare(a.start, b.start)
	})
	found = found[:min(len(found), int(p.whole("evidence.spans")))]
	slices.SortFunc(found, func(a, b stretch) int {
		if a.start != b.start {
			return compare(a.start, b.start)
		}
		if a.item.layer != b.item.layer {
			return compare(int(a.item.layer), int(b.item.layer))
		}
		return compare(a.item.what, b.item.what)
	})
	spans := make([]EvidenceSpan, len(found))
	for i := range found {
		spans[i] = found[i].evidenceSpan(root, p)
	}
	return spans
}

func (s *stretch) evidenceSpan(root *fact, p *Parameters) EvidenceSpan {
	name := s.item.layer.String()
	one := EvidenceSpan{
		Name: name + " " + s.item.what, Start: s.start, End: s.end, Layer: name, What: s.item.what,
		Seconds: roundedSeconds(s.lost, 3),
	}
	if s.span != nil {
		one.Owner = s.span.owner
	}
	home := root
	if home == nil {
		home = s.span
	}
	if home != nil {
		one.TraceID = home.trace
	}
	switch {
	case s.span != nil && s.span.trace == one.TraceID:
		one.ParentID = spanIDOf(s.span.id)
	case root != nil:
		one.ParentID = spanIDOf(root.id)
	}
	trace := ""
	if home != nil {
		trace = hex.EncodeToString(one.TraceID[:])
	}
	key := strings.Join([]string{trace, name, s.item.what, strconv.FormatUint(s.start, 10)}, "\x00")
	digest := sha256.Sum256([]byte(key))
	copy(one.SpanID[:], digest[:])
	if milliseconds(s.lost) >= p.errorFrom {
		one.IsError, one.Message = true, s.item.text()
	}
	return one
}
