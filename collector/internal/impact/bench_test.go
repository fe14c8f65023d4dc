package impact

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// benchCall is a call of 300 s with three two-way legs of 60 windows; no two windows alike. Of bad ones a leg loses
// audio for a while.
func benchCall(seed uint64, bad bool) []Input {
	random := rand.New(rand.NewPCG(seed, 1))
	const start = uint64(1_700_000_000_000_000_000)
	span := func(id uint64, name, layer, activity string, from, to uint64) Input {
		in := Input{Name: name, Start: start + from*1e9, End: start + to*1e9}
		in.TraceID[0] = 1
		binary.BigEndian.PutUint64(in.SpanID[:], id)
		in.Values[AttrLayer] = Value{Kind: KindString, String: layer}
		if activity != "" {
			in.Values[AttrActivity] = Value{Kind: KindString, String: activity}
		}
		return in
	}
	series := func(high float64, harmed bool, decimals int) Value {
		items := make([]string, 60)
		for i := range items {
			value := random.Float64() * high
			if harmed && i > 20 && i < 40 {
				value = 8 + random.Float64()*10
			}
			items[i] = fmt.Sprintf("%.*f", decimals, value)
		}
		return Value{Kind: KindString, String: strings.Join(items, " ")}
	}
	call := []Input{
		span(1, "call inbound", "call", "", 0, 300),
		span(2, "ivr", "ccaas", "ivr", 0, 20),
		span(3, "queue", "ccaas", "queue", 20, 35),
		span(4, "talk", "ccaas", "talk", 35, 300),
	}
	for i, layer := range []string{"carrier", "agent_network", "endpoint"} {
		leg := span(uint64(5+i), layer, layer, "converse", 0, 300)
		leg.Values[AttrToAgentLoss] = series(0.4, bad && i == 1, 1)
		leg.Values[AttrToAgentDelay] = series(60, false, 0)
		leg.Values[AttrToCustomerLoss] = series(0.4, false, 1)
		leg.Values[AttrToCustomerDelay] = series(60, false, 0)
		call = append(call, leg)
	}
	return call
}

// mixedCall is one of the calls of benchmarks/impact_model.py: legs that do not begin at one instant, whose loss is
// that of packets of a 5 s window and whose delay wanders by some ms. Of every fifth call legs are bad for a while.
func mixedCall(seed uint64) []Input {
	random := rand.New(rand.NewPCG(seed, 11))
	const windows = 60
	call := benchCall(seed, false)
	begun := call[0].Start
	call[0].End = begun + 320e9
	call[0].Values[AttrOutcome] = Value{Kind: KindString, String: "completed"}
	call[2].Start, call[2].End = begun, begun+18e9
	call[3].Start, call[3].End = begun+20e9, begun+320e9
	call = append(call[:1], call[2:]...)
	isBad := seed%5 == 0
	for i := range call[3:] {
		leg := &call[3+i]
		leg.Start, leg.End = begun+20e9+uint64(4+i)*130e6, begun+320e9
		isHurt := isBad && random.IntN(2) == 0
		for direction := range directions {
			first, length := random.IntN(windows), 5+random.IntN(windows-5)
			loss, delay := make([]string, windows), make([]string, windows)
			for window := range windows {
				loss[window] = pick(random, []string{"0", "0", "0", "0.4", "0.8"})
				if isHurt && window >= first && window < first+length {
					loss[window] = strconv.FormatFloat(2+23*random.Float64(), 'f', 1, 64)
				}
				delay[window] = strconv.Itoa(20 + random.IntN(12))
			}
			leg.Values[seriesAttrs[2*direction]] = Value{Kind: KindString, String: seriesText(loss)}
			leg.Values[seriesAttrs[2*direction+1]] = Value{Kind: KindString, String: seriesText(delay)}
		}
	}
	return call
}

// seriesText has equal neighbours joined, as writers do.
func seriesText(figures []string) string {
	var items []string
	for begun := 0; begun < len(figures); {
		end := begun + 1
		for end < len(figures) && figures[end] == figures[begun] {
			end++
		}
		item := figures[begun]
		if end-begun > 1 {
			item += "*" + strconv.Itoa(end-begun)
		}
		items = append(items, item)
		begun = end
	}
	return strings.Join(items, " ")
}

// BenchmarkVerdict is a call from its first span to its verdict, evidence spans with it.
func BenchmarkVerdict(b *testing.B) {
	calls := make([][]Input, 400)
	for i := range calls {
		calls[i] = mixedCall(uint64(i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		var state State
		for i := range calls[n%len(calls)] {
			state.Add(&calls[n%len(calls)][i], Default())
		}
		state.Verdict(Default(), false).EvidenceSpans()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkAdd is a span without series, of a call of twenty spans.
func BenchmarkAdd(b *testing.B) {
	in := benchCall(1, false)[2]
	var state State
	b.ReportAllocs()
	for n := range b.N {
		if n%20 == 0 {
			state = State{facts: state.facts[:0]}
		}
		binary.BigEndian.PutUint64(in.SpanID[:], uint64(n+1))
		state.Add(&in, Default())
	}
}

// BenchmarkStateSize reports the memory of one of many live calls of twenty spans, half of them another maker's without a
// layer: as Size counts it with the state itself, and as the heap grows.
func BenchmarkStateSize(b *testing.B) {
	const calls = 20_000
	spans := benchCall(1, false)[:4]
	for len(spans) < 10 {
		one := benchCall(1, false)[2]
		one.Values[AttrOwner] = Value{Kind: KindString, String: "Acme Telecom"}
		spans = append(spans, one)
	}
	for len(spans) < 20 {
		one := benchCall(1, false)[3]
		one.Name, one.Values = "GET", [attrCount]Value{}
		spans = append(spans, one)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range b.N {
		states := make([]*State, calls)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		counted := 0
		for i := range states {
			states[i] = &State{}
			for j := range spans {
				one := spans[j]
				binary.BigEndian.PutUint64(one.SpanID[:], random.Uint64())
				one.Start += uint64(random.IntN(300e9))
				one.End = one.Start + uint64(random.IntN(20e9))
				states[i].Add(&one, Default())
			}
			counted += int(unsafe.Sizeof(*states[i])) + states[i].Size() - states[i].SeriesBytes()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(counted)/calls, "counted-B/call")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/calls, "heap-B/call")
		runtime.KeepAlive(states)
	}
}

// BenchmarkHostileCall is as much as a call of 256 KiB can ask for: overlapping legs of all layers, no two windows
// alike, in windows of one series each.
func BenchmarkHostileCall(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var state State
	in := benchCall(1, false)[4]
	in.End = in.Start + 1000*5e9
	for id := uint64(100); state.Size() < 256<<10; id++ {
		binary.BigEndian.PutUint64(in.SpanID[:], id)
		in.Start += uint64(random.IntN(1e9))
		in.Values[AttrLayer].String = layerNames[id%uint64(mediaLayers)]
		for _, attr := range seriesAttrs {
			items := make([]string, 1000)
			for i := range items {
				items[i] = fmt.Sprint(random.IntN(60))
			}
			in.Values[attr] = Value{Kind: KindString, String: strings.Join(items, " ")}
		}
		state.Add(&in, Default())
	}
	b.ResetTimer()
	for range b.N {
		state.Verdict(Default(), false).EvidenceSpans()
	}
}
