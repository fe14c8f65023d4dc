package impact

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

const randomCalls = 1500

func stateOf(spans []Input) *State {
	var state State
	for i := range spans {
		state.Add(&spans[i], Default())
	}
	return &state
}

// said is all that a verdict says.
func said(v *Verdict) string {
	return fmt.Sprint(v.Attributes, v.Root, v.Start, v.End, v.EvidenceSpans())
}

// eachRandomCall runs a check on many calls; the seed is named where it fails.
func eachRandomCall(t *testing.T, check func(t *testing.T, random *rand.Rand, spans []Input)) {
	for seed := range uint64(randomCalls) {
		random := rand.New(rand.NewPCG(seed, 7))
		check(t, random, randomCall(random, 30))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestChargesAddUpToWhatIsLostAndThatIsNoMoreThanTheCall(t *testing.T) {
	eachRandomCall(t, func(t *testing.T, _ *rand.Rand, spans []Input) {
		v := stateOf(spans).Verdict(Default(), false)
		sum := 0.0
		for name, ns := range v.Charges {
			if ns < -1e-3 {
				t.Errorf("%s is charged %v ns", name, ns)
			}
			sum += ns
		}
		length := float64(v.End - v.Start)
		if math.Abs(sum-v.ExactLost) > 1+1e-9*length || v.ExactLost > length*(1+1e-12)+1 || v.ExactLost < 0 {
			t.Errorf("charges %v, lost %v, length %v ns", sum, v.ExactLost, length)
		}
	})
}

func TestOrderChangesNothingButOfCopies(t *testing.T) {
	eachRandomCall(t, func(t *testing.T, random *rand.Rand, spans []Input) {
		seen := map[[24]byte]bool{}
		single := slices.DeleteFunc(slices.Clone(spans), func(one Input) bool {
			key := [24]byte(append(append([]byte{}, one.TraceID[:]...), one.SpanID[:]...))
			defer func() { seen[key] = true }()
			return seen[key] && one.SpanID != [8]byte{}
		})
		want := said(stateOf(single).Verdict(Default(), false))
		random.Shuffle(len(single), func(i, j int) { single[i], single[j] = single[j], single[i] })
		if got := said(stateOf(single).Verdict(Default(), false)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestSpansReceivedTwiceChangeNothing(t *testing.T) {
	eachRandomCall(t, func(t *testing.T, _ *rand.Rand, spans []Input) {
		state := stateOf(spans)
		want := said(state.Verdict(Default(), false))
		for i := range spans {
			state.Add(&spans[i], Default())
		}
		if got := said(state.Verdict(Default(), false)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestAStoredStateSaysTheSame(t *testing.T) {
	eachRandomCall(t, func(t *testing.T, random *rand.Rand, spans []Input) {
		cut := random.IntN(len(spans) + 1)
		loaded, err := Load(stateOf(spans[:cut]).Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for i := range spans[cut:] {
			loaded.Add(&spans[cut+i], Default())
		}
		want := said(stateOf(spans).Verdict(Default(), true))
		if got := said(loaded.Verdict(Default(), true)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestMergedPartsAreTheWhole(t *testing.T) {
	eachRandomCall(t, func(t *testing.T, random *rand.Rand, spans []Input) {
		cut := random.IntN(len(spans) + 1)
		state := stateOf(spans[:cut])
		state.Merge(stateOf(spans[cut:]))
		want := said(stateOf(spans).Verdict(Default(), false))
		if got := said(state.Verdict(Default(), false)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestMoreLossOrDelayNeverLowersTheTotal(t *testing.T) {
	tried := 0
	eachRandomCall(t, func(t *testing.T, random *rand.Rand, spans []Input) {
		before := stateOf(spans).Verdict(Default(), false).ExactLost
		worse := slices.Clone(spans)
		one := &worse[random.IntN(len(worse))]
		attr := pick(random, seriesAttrs[:])
		most, more := 100.0, 20.0
		if attr == AttrToAgentDelay || attr == AttrToCustomerDelay {
			most, more = 60_000, 300
		}
		value := &one.Values[attr]
		if value.Kind != KindString {
			return
		}
		kept, bad, ok := readSeries(nil, value.String, most, 1000)
		if !ok || bad > 0 {
			return
		}
		tried++
		text := ""
		for _, run := range runsOf(kept, nil) {
			if run.value != notMeasured {
				run.value = min(most, run.value+random.Float64()*more)
				text += fmt.Sprintf("%f*%d ", run.value, run.count)
			} else {
				text += fmt.Sprintf("-*%d ", run.count)
			}
		}
		value.String = text
		for i := range worse { // copies of a span are one span
			if worse[i].SpanID == one.SpanID && worse[i].TraceID == one.TraceID && &worse[i] != one {
				return
			}
		}
		if after := stateOf(worse).Verdict(Default(), false).ExactLost; after < before-1 {
			t.Errorf("%v ns before, %v with more", before, after)
		}
	})
	if tried < 100 {
		t.Errorf("only %d calls had a series to make worse", tried)
	}
}

func TestRatingAndScore(t *testing.T) {
	if math.Abs(bestR-93.2062077233) > 1e-9 {
		t.Errorf("R of an unimpaired call is %.10f", bestR)
	}
	for _, of := range []func(float64) float64{
		func(x float64) float64 { return rating(1-x, 0, 0, 25.1) },
		func(x float64) float64 { return byDelay(2000 * x) },
	} {
		last := math.Inf(1)
		for i := range 1001 {
			score := meanOpinion(of(float64(i) / 1000))
			if score > last+1e-12 || score < 1 || score > 4.5 {
				t.Fatalf("MOS %v after %v", score, last)
			}
			last = score
		}
	}
}

// The worked table of the model, 300 s in windows of 5 s.
func TestWorkedTable(t *testing.T) {
	for series, want := range map[string]float64{"3*60": 0, "5*60": 10.87, "15*60": 151.70, "100*2 0*58": 9.96} {
		spans := benchCall(1, false)[:1]
		leg := benchCall(1, false)[5]
		for _, attr := range seriesAttrs {
			leg.Values[attr] = Value{}
		}
		leg.Values[AttrToAgentLoss] = Value{Kind: KindString, String: series}
		v := stateOf(append(spans, leg)).Verdict(Default(), false)
		if math.Abs(v.LostSeconds-want) > 0.01 {
			t.Errorf("%s: lost %v, want %v", series, v.LostSeconds, want)
		}
	}
}

func TestManySpansOfOneCallTakeWorkInProportion(t *testing.T) {
	var state State
	in := benchCall(1, false)[2]
	for i := range 100_000 {
		binary.BigEndian.PutUint64(in.SpanID[:], uint64(i%50_000+1))
		state.Add(&in, Default())
	}
	if got := state.Spans(); got != 50_000 {
		t.Errorf("%d spans", got)
	}
	state.Verdict(Default(), false)
}

func TestOverridesNameWhatIsWrong(t *testing.T) {
	for want, given := range map[string]map[string]any{
		"impact parameter allowance.queu: unknown; there is allowance.connect, allowance.handoff, allowance.hold, " +
			"allowance.lookup, allowance.queue, allowance.respond, allowance.setup": {"allowance": map[string]any{"queu": 3}},
		"impact parameter allowance.queue: -1 given; must be a number from 0 to 1e+07 (s)":  {"allowance.queue": -1},
		`impact parameter allowance.queue: "x" given; must be a number from 0 to 1e+07 (s)`: {"allowance.queue": "x"},
		"impact parameter evidence.items: 1.5 given; must be a whole number from 1 to 128 (strings)": {
			"evidence.items": 1.5,
		},
		`impact parameter summary.owner: " {x}" given; must be a text with {owner}`: {"summary.owner": " {x}"},
		`impact parameter felt.symptoms.queue: "bored" given; must be one of choppy_audio, talk_over, one_way_audio, ` +
			"no_audio, long_wait, slow_connect, dead_air, slow_ai, repeated_itself, dropped, abandoned, failed": {
			"felt.symptoms": map[string]any{"queue": "bored"},
		},
		"impact parameter allowance.queue: true given; must be a number from 0 to 1e+07 (s)": {"allowance.queue": true},
		"impact parameter summary.places: 3 given; must be a mapping (words by layer)":       {"summary.places": 3},
		`impact parameter summary.also: "; {größe}" given; must be a text with {others}`:     {"summary.also": "; {größe}"},
		`impact parameter cost.currency: missing; a rate needs it, for example "EUR"`:        {"cost.customer_hourly": 30},
	} {
		if _, err := Default().Override(given); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	p, err := Default().Override(map[string]any{"allowance": map[string]any{"queue": 30}, "makers.sessions": map[string]any{"bot": "voice_ai"}})
	if err != nil || p.ns("allowance.queue") != 30e9 || !p.IsSession("bot") || !p.IsSession("agent_session") {
		t.Errorf("overridden: %v", err)
	}
	if !reflect.DeepEqual(defaultParameters.values["allowance.queue"], 20.0) {
		t.Error("an override changed the default")
	}
}

func TestAValueGivenTwiceIsTheDottedOne(t *testing.T) {
	given := map[string]any{"allowance": map[string]any{"queue": 30}, "allowance.queue": 40}
	for range 20 { // a map has no order of its own
		p, err := Default().Override(given)
		if err != nil || p.ns("allowance.queue") != 40e9 {
			t.Fatalf("got %v, %v", p.ns("allowance.queue"), err)
		}
	}
}
