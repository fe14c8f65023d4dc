package impact

import (
	"encoding/binary"
	"runtime"
	"testing"
)

// manySpans is a call of n spans of each of two kinds, made so that every one of the first overlaps all of the second.
func manySpans(n int, layer, activity string, fidelity float64, otherActivity string, atOnce bool) *State {
	const start, end = uint64(1_700_000_000_000_000_000), uint64(100_000e9)
	var state State
	put := func(id uint64, layer, activity string, fidelity float64, from, to uint64) {
		in := Input{Name: "span", Start: start + from, End: start + to}
		in.TraceID[0] = 1
		binary.BigEndian.PutUint64(in.SpanID[:], id)
		in.Values[AttrLayer] = Value{Kind: KindString, String: layer}
		in.Values[AttrActivity] = Value{Kind: KindString, String: activity}
		in.Values[AttrFidelity] = Value{Kind: KindDouble, Double: fidelity}
		state.Add(&in, Default())
	}
	put(1, "ccaas", "ivr", 1, 0, end)
	for i := range uint64(n) {
		from, to := i*1000, end-i
		if atOnce {
			from, to = end-10e9, end-9e9
		}
		put(2*i+2, layer, activity, fidelity, from, to)
		put(2*i+3, "ccaas", otherActivity, 1, 10e9+i*1e9, 10e9+i*1e9+5e8)
	}
	return &state
}

// Ten times the spans may ask for some more than ten times the memory, and not for a hundred times.
func TestCallsOfManyOverlappingSpansTakeMemoryInProportion(t *testing.T) {
	allocated := func(state *State) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		state.Verdict(Default(), false).EvidenceSpans()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for name, call := range map[string]func(n int) *State{
		"handoffs over queues": func(n int) *State { return manySpans(n, "handoff", "handoff", 1, "queue", false) },
		"lookups over talks":   func(n int) *State { return manySpans(n, "crm", "lookup", 1, "talk", false) },
		"holds over queues":    func(n int) *State { return manySpans(n, "agent", "hold", 1, "queue", false) },
		"handoffs of one start": func(n int) *State {
			return manySpans(n, "handoff", "handoff", 0.9999, "talk", true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			few, many := allocated(call(200)), allocated(call(2000))
			if many > 25*few {
				t.Errorf("%d bytes for 400 spans, %d for 4000", few, many)
			}
		})
	}
}
