package impact

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// fact is what the model needs of one span.
type fact struct {
	trace       [16]byte
	id          uint64 // span id, as a big-endian number, so that ids are in order of their text
	start, end  uint64
	layer       layer
	activity    activity
	isRoot      bool
	isError     bool
	owner       string
	hasWait     bool
	wait        uint64 // cx.wait.seconds
	latencies   []latency
	waiting     byte // of a lookup: whether anyone waits for it
	fidelity    float64
	outcome     outcome
	isWeb       bool
	rootSkipped int // of a root, how many of outcome and medium were not readable
	leg         *leg
	legRuns     []legRun // of the leg, once a verdict asked
	skipped     int
}

// What a lookup says of who waits for it.
const (
	waitingUnsaid byte = iota
	waitingYes
	waitingNo
)

type latency struct {
	activity activity
	ok       bool
	ns       uint64
}

type outcome byte

const (
	noOutcome outcome = iota // one that costs nothing, or none
	dropped
	failed
	abandoned
	outcomes
)

var outcomeNames = [outcomes]string{
	dropped: spec.CxCallOutcomeDropped, failed: spec.CxCallOutcomeFailed, abandoned: spec.CxCallOutcomeAbandoned,
}

func (o outcome) String() string { return outcomeNames[o] }

// outcomeOf reads cx.call.outcome.
func outcomeOf(name string) outcome {
	for one := dropped; one < outcomes; one++ {
		if outcomeNames[one] == name {
			return one
		}
	}
	return noOutcome
}

// leg has the media figures of one span, for windows of one length. Its text is, for each of the four series, in the
// order of seriesAttrs, its length and the text that readSeries kept.
type leg struct {
	isPath bool
	ie     [directions]float64
	window uint64
	text   []byte
}

// seriesAttrs are in the order of figures.
var seriesAttrs = [...]Attr{AttrToAgentLoss, AttrToAgentDelay, AttrToCustomerLoss, AttrToCustomerDelay}

const (
	shortestWindow, longestWindow = 1e-9, 1e6 // seconds; impact model, section 0
)

// readFact reads what the model needs of a span whose id and times are good. The text of its series is appended to
// buffer and given back.
func readFact(f *fact, in *Input, p *Parameters, buffer []byte) []byte {
	f.trace, f.isError, f.fidelity = in.TraceID, in.IsError, 1
	f.layer = layerOf(f.textOf(&in.Values[AttrLayer]))
	f.activity = activityOf(f.textOf(&in.Values[AttrActivity]))
	if f.layer == noLayer {
		if session, ok := p.sessions[in.Name]; ok {
			f.layer = session
			if f.activity == noActivity {
				f.activity = converse
			}
		}
	}
	for _, one := range in.Latencies {
		seconds, ok := one.Value.number(0, p.waitMax)
		f.latencies = append(f.latencies, latency{activityOf(one.Activity), ok, nanoseconds(seconds)})
	}
	if owner := &in.Values[AttrOwner]; owner.Kind == KindString {
		f.owner = owner.String
	}
	if wait := &in.Values[AttrWaitSeconds]; wait.Kind != KindAbsent {
		var seconds float64
		seconds, f.hasWait = f.numberOf(wait, 0, p.waitMax)
		f.wait = nanoseconds(seconds)
	}
	if waiting := &in.Values[AttrCRMWaiting]; f.activity == lookup && waiting.Kind == KindBool {
		f.waiting = waitingNo
		if waiting.Bool {
			f.waiting = waitingYes
		}
	}
	f.readFidelity(in)
	if f.layer == callLayer && in.IsRootName() {
		f.readRoot(in)
	}
	for _, attr := range seriesAttrs {
		if in.Values[attr].Kind != KindAbsent {
			return f.readLeg(in, p, buffer)
		}
	}
	return nil
}

// textOf is a value's string; any other value is skipped.
func (f *fact) textOf(value *Value) string {
	if value.Kind != KindString && value.Kind != KindAbsent {
		f.skipped++
	}
	return value.String
}

// number is a value as a number; a bool is none, and NaN and what lies outside low..high neither.
func (v *Value) number(low, high float64) (float64, bool) {
	var number float64
	switch v.Kind {
	case KindDouble:
		number = v.Double
	case KindInt:
		number = float64(v.Int)
	default:
		return 0, false
	}
	if number >= low && number <= high {
		return number, true
	}
	return 0, false
}

// numberOf is a number; any other value is skipped.
func (f *fact) numberOf(value *Value, low, high float64) (float64, bool) {
	number, ok := value.number(low, high)
	if !ok {
		f.skipped++
	}
	return number, ok
}

func (f *fact) readFidelity(in *Input) {
	if given := &in.Values[AttrFidelity]; given.Kind != KindAbsent {
		if fidelity, ok := f.numberOf(given, 0, 1); ok {
			f.fidelity = fidelity
			return
		}
	}
	expected, delivered := &in.Values[AttrKeysExpected], &in.Values[AttrKeysDelivered]
	if f.activity != handoffActivity || expected.Kind != KindStrings || delivered.Kind != KindStrings {
		return
	}
	keys := slices.Compact(slices.Sorted(slices.Values(expected.Strings)))
	if len(keys) == 0 {
		return
	}
	arrived := 0
	for _, key := range keys {
		if slices.Contains(delivered.Strings, key) {
			arrived++
		}
	}
	f.fidelity = float64(arrived) / float64(len(keys))
}

// readRoot adds what only a root says; whether it is the call's one root is not known yet.
func (f *fact) readRoot(in *Input) {
	f.isRoot = true
	given, medium := &in.Values[AttrOutcome], &in.Values[AttrMedium]
	for _, value := range []*Value{given, medium} {
		if value.Kind != KindAbsent && value.Kind != KindString {
			f.rootSkipped++
		}
	}
	f.outcome = outcomeOf(given.String)
	f.isWeb = medium.String == spec.CxCallMediumWeb
}

// readLeg reads media figures; nothing, and 1 skipped, where the layer has none or the window is bad.
func (f *fact) readLeg(in *Input, p *Parameters, buffer []byte) []byte {
	window := p.window
	ok := true
	if given := &in.Values[AttrWindow]; given.Kind != KindAbsent {
		var seconds float64
		seconds, ok = given.number(shortestWindow, longestWindow)
		window = nanoseconds(seconds)
	}
	if !ok || !f.layer.isMedia() {
		f.skipped++
		return nil
	}
	f.leg = &leg{window: window, isPath: f.textOf(&in.Values[AttrScope]) == spec.CxMediaScopePath}
	for direction, attr := range []Attr{AttrToAgentIE, AttrToCustomerIE} {
		if given := &in.Values[attr]; given.Kind != KindAbsent {
			f.leg.ie[direction], _ = f.numberOf(given, 0, worstIe)
		}
	}
	length := 0
	for _, attr := range seriesAttrs {
		length += len(in.Values[attr].String) + binary.MaxVarintLen32
	}
	series := buffer[:0]
	if length > cap(series) {
		series = make([]byte, 0, length)
	}
	var text [512]byte
	for i, attr := range seriesAttrs {
		high := p.maxLoss
		if i%2 == 1 {
			high = p.maxDelay
		}
		kept := text[:0]
		if given := &in.Values[attr]; given.Kind == KindString {
			var bad int
			var ok bool
			kept, bad, ok = readSeries(kept, given.String, high, p.windows)
			f.skipped += bad
			if !ok {
				f.skipped++
			}
		} else if given.Kind != KindAbsent {
			f.skipped++
		}
		series = binary.AppendUvarint(series, uint64(len(kept)))
		series = append(series, kept...)
	}
	return series
}

// leg reads the facts of a leg, which are the last of a span's.
func (r *bytesReader) leg() *leg {
	flags := r.byte()
	l := &leg{isPath: flags&1 != 0}
	for direction := range l.ie {
		if flags>>(1+direction)&1 != 0 {
			l.ie[direction] = r.float()
		}
	}
	l.window = r.uvarint()
	l.text = r.rest
	return l
}

// series gives the kept text of the four series.
func (l *leg) series() (texts [len(seriesAttrs)][]byte) {
	r := bytesReader{l.text}
	for i := range texts {
		texts[i] = r.take(r.count(1))
	}
	return texts
}

func (l *leg) isSound() bool {
	for _, text := range l.series() {
		kept, bad, ok := readSeries(nil, string(text), math.MaxFloat64, 9999)
		if !ok || bad > 0 || !bytes.Equal(kept, text) {
			return false
		}
	}
	return true
}

// figures are loss in percent and delay in ms to the agent, then to the customer; notMeasured where there is none.
type figures [len(seriesAttrs)]float64

var nothing = figures{notMeasured, notMeasured, notMeasured, notMeasured}

// isMeasured says whether there is any figure of a direction.
func (f *figures) isMeasured(direction int) bool {
	return f[2*direction] != notMeasured || f[2*direction+1] != notMeasured
}

// legRun is windows of a leg with the same figures; times in ns.
type legRun struct {
	start, end uint64
	figures    figures
}

// runs are the measured windows of a leg in order, equal ones joined, cut at the span's end.
func (f *fact) runs() []legRun {
	var series [len(seriesAttrs)][]run
	var store [4 * 64]run
	free := store[:0]
	for i, text := range f.leg.series() {
		begun := len(free)
		free = runsOf(text, free)
		series[i] = free[begun:len(free):len(free)]
	}
	var at [len(seriesAttrs)]int   // run of each series
	var left [len(seriesAttrs)]int // its windows not yet taken
	for i := range series {
		if len(series[i]) > 0 {
			left[i] = series[i][0].count
		}
	}
	found := make([]legRun, 0, f.leg.mostRuns(len(free)))
	before := nothing
	begun, index := 0, 0
	for {
		now := nothing
		step := 0
		for i := range series {
			if at[i] < len(series[i]) {
				now[i] = series[i][at[i]].value
				if step == 0 || left[i] < step {
					step = left[i]
				}
			}
		}
		if now != before || step == 0 {
			if before != nothing {
				found = f.appendRun(found, begun, index, before)
			}
			begun, before = index, now
		}
		if step == 0 {
			return found
		}
		index += step
		for i := range series {
			if at[i] >= len(series[i]) {
				continue
			}
			if left[i] -= step; left[i] == 0 {
				if at[i]++; at[i] < len(series[i]) {
					left[i] = series[i][at[i]].count
				}
			}
		}
	}
}

// mostRuns is how many runs of equal figures there can be: each item of a series may begin one, and all items of a
// leg's series begin together where no two windows are alike.
func (*leg) mostRuns(items int) int { return items/len(seriesAttrs) + 8 }

func (f *fact) appendRun(found []legRun, first, last int, values figures) []legRun {
	start := plus(f.start, times(first, f.leg.window))
	end := min(plus(f.start, times(last, f.leg.window)), f.end)
	if start >= f.end {
		return found
	}
	return append(found, legRun{start, end, values})
}
