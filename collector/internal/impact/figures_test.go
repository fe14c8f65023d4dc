package impact

import (
	"math/rand/v2"
	"testing"
)

// What counts of overlapping legs is found in three ways, by how many legs there are and whether they overlap.
func TestEveryWayToFindWhatCountsFindsTheSame(t *testing.T) {
	plain, many := 0, 0
	eachRandomCall(t, func(t *testing.T, random *rand.Rand, spans []Input) {
		for _, one := range spans { // more legs than a call has by chance
			if one.Values[AttrToAgentLoss].Kind == KindString {
				one.SpanID[0]++
				one.Start += uint64(random.IntN(30)) * 1e9
				spans = append(spans, one)
			}
		}
		c := newCall(stateOf(spans).all(), 0, Default())
		var legs []*fact
		for i := range c.spans {
			if len(c.spans[i].legRuns) > 0 {
				legs = append(legs, &c.spans[i])
			}
		}
		ways := []*figuresNow{newFiguresNow(legs), newFiguresNow(legs), newFiguresNow(legs)}
		ways[1].plain, ways[1].few = false, true
		ways[2].plain, ways[2].few = false, false
		if ways[0].plain && len(legs) > 1 {
			plain++
		}
		if len(legs) > fewLegs {
			many++
		}
		changes := changesOf(c, legs)
		for i, one := range changes {
			for _, way := range ways {
				way.change(one)
			}
			if i+1 < len(changes) && changes[i+1].at == one.at {
				continue
			}
			want := ways[0].cell(&c.gone, false)
			for _, way := range ways[1:] {
				if got := way.cell(&c.gone, false); !saysTheSame(got, want) {
					t.Fatalf("at %d: got %+v, want %+v", one.at-c.start, got, want)
				}
			}
		}
	})
	if plain < 20 || many < 20 {
		t.Errorf("only %d plain calls of several legs, and %d of many", plain, many)
	}
}

func saysTheSame(a, b *cell) bool {
	if a == nil || b == nil {
		return a == b
	}
	for place := range a.effects {
		if a.present[place] != b.present[place] || a.present[place] && a.effects[place] != b.effects[place] {
			return false
		}
	}
	return true
}

func TestMergedPartsAreInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for parts := range 10 {
		var changes []change
		var ends []int
		for leg := range parts {
			at := uint64(0)
			for range random.IntN(6) {
				at += uint64(random.IntN(4))
				changes = append(changes, change{at: at, leg: leg})
			}
			ends = append(ends, len(changes))
		}
		got := merged(changes, ends)
		for i := 1; i < len(got); i++ {
			if a, b := got[i-1], got[i]; a.at > b.at || a.at == b.at && a.leg > b.leg {
				t.Fatalf("%v stands before %v", a, b)
			}
		}
	}
}
