package impact

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"
)

func hostile(kind string, size int) *State {
	var s State
	const t0 = uint64(1_700_000_000_000_000_000)
	put := func(id uint64, layer, act string, from, to uint64, f float64) {
		in := Input{Name: "x", Start: t0 + from, End: t0 + to}
		in.TraceID[0] = 1
		binary.BigEndian.PutUint64(in.SpanID[:], id)
		in.Values[AttrLayer] = Value{Kind: KindString, String: layer}
		in.Values[AttrActivity] = Value{Kind: KindString, String: act}
		if f < 1 {
			in.Values[AttrFidelity] = Value{Kind: KindDouble, Double: f}
		}
		s.Add(&in, Default())
	}
	put(1, "ccaas", "ivr", 0, 100_000e9, 1)
	for i := uint64(2); s.Size() < size; i++ {
		switch kind {
		case "handoffs and queues":
			put(2*i, "handoff", "handoff", i*1000, 100_000e9-i, 1)
			put(2*i+1, "ccaas", "queue", 10e9+i*1e9, 10e9+i*1e9+5e8, 1)
		case "lookups and talks":
			put(2*i, "crm", "lookup", i*1000, 100_000e9-i, 1)
			put(2*i+1, "ccaas", "talk", 10e9+i*1e9, 10e9+i*1e9+5e8, 1)
		case "handoffs at once":
			put(2*i, "handoff", "handoff", 99_000e9, 99_001e9, 1-1e-4)
			put(2*i+1, "ccaas", "talk", 10e9+i*1e9, 10e9+i*1e9+5e8, 1)
		}
	}
	return &s
}

func TestZZ(t *testing.T) {
	for _, kind := range []string{"handoffs and queues", "lookups and talks", "handoffs at once"} {
		for _, size := range []int{16 << 10, 32 << 10, 64 << 10} {
			s := hostile(kind, size)
			var a, b runtime.MemStats
			runtime.ReadMemStats(&a)
			begun := time.Now()
			s.Verdict(Default(), false).EvidenceSpans()
			runtime.ReadMemStats(&b)
			fmt.Println(kind, size, s.Spans(), time.Since(begun), (b.TotalAlloc-a.TotalAlloc)>>20, "MiB")
		}
	}
}
