package impact

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// FuzzAdd has spans made of the fuzzer's bytes judged, stored and merged: nothing of it may panic.
func FuzzAdd(f *testing.F) {
	f.Add(uint64(1), "0*20 12.4 - 3", 5.0, int64(3), uint64(1_700_000_000_000_000_000), uint64(30e9))
	f.Add(uint64(2), "1*9999 5*1", math.NaN(), int64(-1), uint64(math.MaxUint64), uint64(0))
	f.Fuzz(func(t *testing.T, seed uint64, text string, number float64, whole int64, start, length uint64) {
		random := rand.New(rand.NewPCG(seed, 3))
		spans := randomCall(random, 8)
		for i := range spans {
			if random.IntN(2) == 0 {
				spans[i].Start, spans[i].End = start, start+length
			}
			for attr := range attrCount {
				switch random.IntN(8) {
				case 0:
					spans[i].Values[attr] = Value{Kind: KindString, String: text}
				case 1:
					spans[i].Values[attr] = Value{Kind: KindDouble, Double: number}
				case 2:
					spans[i].Values[attr] = Value{Kind: KindInt, Int: whole}
				}
			}
		}
		state := stateOf(spans)
		v := state.Verdict(Default(), false)
		v.EvidenceSpans()
		if !(v.LostSeconds >= 0) {
			t.Fatalf("lost %v", v.LostSeconds)
		}
		stored := state.Append(nil)
		loaded, err := Load(stored)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored, loaded.Append(nil)) {
			t.Fatal("stored again it is another")
		}
		loaded.Merge(state)
	})
}

// FuzzLoad reads any bytes as a stored state: an error, or a state that can be judged.
func FuzzLoad(f *testing.F) {
	f.Add([]byte{})
	f.Add(stateOf(benchCall(1, true)).Append(nil))
	f.Add(stateOf(randomCall(rand.New(rand.NewPCG(1, 1)), 20)).Append(nil))
	f.Fuzz(func(t *testing.T, stored []byte) {
		state, err := Load(stored)
		if err != nil {
			return
		}
		state.Verdict(Default(), false).EvidenceSpans()
		state.Merge(stateOf(benchCall(2, true)))
		if _, err := Load(state.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
