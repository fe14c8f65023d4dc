package impact

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// slowSetup is a span whose wait costs the call much, of the owner given.
func slowSetup(id uint64, owner string) Input {
	const start = uint64(1_700_000_000_000_000_000)
	in := Input{Name: "carrier setup", Start: start, End: start + 30e9}
	in.TraceID[0] = 1
	binary.BigEndian.PutUint64(in.SpanID[:], id)
	in.Values[AttrLayer] = Value{Kind: KindString, String: "carrier"}
	in.Values[AttrActivity] = Value{Kind: KindString, String: "setup"}
	in.Values[AttrOwner] = Value{Kind: KindString, String: owner}
	return in
}

func valueOf(v *Verdict, key string) any {
	for _, one := range v.Attributes {
		if one.Key == key {
			return one.Value
		}
	}
	return nil
}

func TestEveryOwnerIsToldHoweverManyAndLong(t *testing.T) {
	for name, owner := range map[string]string{
		"short":          "Acme Telecom",
		"long":           strings.Repeat("a very long name ", 5000),
		"with separator": "Acme\x00Telecom",
	} {
		t.Run(name, func(t *testing.T) {
			var state State
			for i := range uint64(2 * mostOwners) {
				in := slowSetup(i+2, fmt.Sprint("owner ", i))
				in.End -= 10e9
				state.Add(&in, Default())
			}
			in := slowSetup(1, owner)
			state.Add(&in, Default())
			loaded, err := Load(state.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			var merged State
			merged.Merge(&loaded)
			for _, one := range []*State{&state, &loaded, &merged} {
				if got := valueOf(one.Verdict(Default(), false), "cx.impact.owner"); got != owner {
					t.Errorf("got %.40q, want %.40q", got, owner)
				}
			}
		})
	}
}

func TestSizeGrowsWithWhateverASenderMakesLong(t *testing.T) {
	var state State
	for i := range uint64(100) {
		in := slowSetup(i+1, fmt.Sprint(i, strings.Repeat("x", 10_000)))
		state.Add(&in, Default())
	}
	if got := state.Size(); got < 1_000_000 {
		t.Errorf("a state with 1 MB of owners has %d bytes", got)
	}
}

func TestACopyOfABadSpanIsKnownAfterARestart(t *testing.T) {
	var state State
	nameless := Input{Name: "no id", Start: 5, End: 9}
	backwards := slowSetup(1, "")
	backwards.End = backwards.Start - 1
	add := func(state *State) {
		for _, one := range []Input{nameless, backwards} {
			state.Add(&one, Default())
		}
	}
	add(&state)
	loaded, err := Load(state.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	add(&loaded)
	if got := loaded.Verdict(Default(), false).Skipped; got != 2 {
		t.Errorf("skipped %d, want 2", got)
	}
}

func TestSeriesBytesAreThoseOfSeries(t *testing.T) {
	var without, with State
	for _, one := range benchCall(1, false) {
		text := 0
		for _, attr := range seriesAttrs {
			text += len(one.Values[attr].String)
		}
		with.Add(&one, Default())
		before := without.SeriesBytes()
		without.Add(&one, Default())
		grown := without.SeriesBytes() - before
		if grown < text || grown > text+16 {
			t.Errorf("%s: %d bytes for series of %d", one.Name, grown, text)
		}
	}
	if series, size := with.SeriesBytes(), with.Size(); series > size || size-series > 600 {
		t.Errorf("%d bytes of series in a state of %d", series, size)
	}
}

func TestWhatIsNoStoredStateIsSaidToBeNone(t *testing.T) {
	whole := stateOf(benchCall(1, true))
	stored := whole.Append(nil)
	for want, src := range map[string][]byte{
		"not the stored facts of a call: cut off":                                           {},
		"not the stored facts of a call: version 9, and this is version 1":                  {9},
		fmt.Sprintf("not the stored facts of a call: cut off after byte %d", 1000):          stored[:1000],
		fmt.Sprintf("not the stored facts of a call: cut off after byte %d", len(stored)-1): stored[:len(stored)-1],
	} {
		if _, err := Load(src); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for cut := range stored { // between two spans a stored state may end
		if state, err := Load(stored[:cut]); err == nil && state.Spans() >= whole.Spans() {
			t.Errorf("cut at %d it still has all spans", cut)
		}
	}
}
