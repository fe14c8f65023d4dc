package impact

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Words of calls made at random: good ones, and now and then one that is none.
var (
	someLayers     = append(layerNames[:unobserved:unobserved], "call", "", "somewhere")
	someActivities = []string{
		"setup", "ivr", "queue", "connect", "talk", "converse", "respond", "hold", "handoff", "lookup", "wrap_up", "", "odd",
	}
	someNames    = []string{"call inbound", "call outbound", "agent_session", "conversation", "GET", "leg"}
	someOutcomes = []string{"completed", "dropped", "failed", "abandoned", ""}
	someSeries   = []string{
		"0*20 12.4 15.1 - 0*16", "100*3 0*9", "", "5 6 7 8 9*40", "1*1001", "2*0", "x", "-", "3.5 3,5 1e5", "60000 60001", "0.1*999",
	}
)

// randomCall is a call of up to as many spans, within some minutes, with overlaps, copies and bad values.
func randomCall(random *rand.Rand, most int) []Input {
	call := make([]Input, random.IntN(most)+1)
	for i := range call {
		if i > 0 && random.IntN(10) == 0 {
			call[i] = call[random.IntN(i)]
			call[i].End += uint64(random.IntN(3)) * 1e9
			continue
		}
		call[i] = randomSpan(random, uint64(i+1))
	}
	return call
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func randomSpan(random *rand.Rand, id uint64) Input {
	const start = uint64(1_700_000_000_000_000_000)
	in := Input{Name: pick(random, someNames), IsError: random.IntN(4) == 0}
	in.TraceID[0] = 1
	if random.IntN(20) == 0 {
		in.TraceID[0] = 2
	}
	if random.IntN(30) > 0 {
		binary.BigEndian.PutUint64(in.SpanID[:], id)
	}
	in.Start = start + uint64(random.IntN(600))*5e8
	in.End = in.Start + uint64(random.IntN(300))*5e8
	switch random.IntN(40) {
	case 0:
		in.End = in.Start - 1
	case 1:
		in.End = math.MaxUint64
	case 2:
		in.Start = 1
	case 3:
		in.Start = 0
	}
	for attr := range attrCount {
		if random.IntN(3) == 0 {
			in.Values[attr] = randomValue(random, attr)
		}
	}
	if random.IntN(3) > 0 {
		in.Values[AttrLayer] = Value{Kind: KindString, String: pick(random, someLayers)}
		in.Values[AttrActivity] = Value{Kind: KindString, String: pick(random, someActivities)}
	}
	if random.IntN(10) == 0 {
		in.Latencies = []Latency{{"respond", randomValue(random, AttrWaitSeconds)}}
	}
	return in
}

func randomValue(random *rand.Rand, attr Attr) Value {
	switch random.IntN(12) {
	case 0:
		return Value{Kind: KindBool, Bool: random.IntN(2) == 0}
	case 1:
		return Value{Kind: KindInt, Int: int64(random.IntN(120)) - 10}
	case 2:
		return Value{Kind: KindDouble, Double: pick(random, []float64{math.NaN(), math.Inf(1), -1, 1e300, 0.5})}
	case 3:
		return Value{Kind: KindOther}
	}
	switch attr {
	case AttrLayer:
		return Value{Kind: KindString, String: pick(random, someLayers)}
	case AttrActivity:
		return Value{Kind: KindString, String: pick(random, someActivities)}
	case AttrOutcome:
		return Value{Kind: KindString, String: pick(random, someOutcomes)}
	case AttrMedium:
		return Value{Kind: KindString, String: pick(random, []string{"web", "phone"})}
	case AttrScope:
		return Value{Kind: KindString, String: pick(random, []string{"path", "hop"})}
	case AttrOwner:
		return Value{Kind: KindString, String: "owner " + strconv.Itoa(random.IntN(4))}
	case AttrToAgentLoss, AttrToAgentDelay, AttrToCustomerLoss, AttrToCustomerDelay:
		return Value{Kind: KindString, String: randomSeries(random)}
	case AttrKeysExpected, AttrKeysDelivered:
		return Value{Kind: KindStrings, Strings: strings.Fields("a b c d")[:random.IntN(5)]}
	case AttrWindow:
		return Value{Kind: KindDouble, Double: pick(random, []float64{5, 1, 0.3, 7.77, 1e6})}
	case AttrFidelity:
		return Value{Kind: KindDouble, Double: random.Float64()}
	}
	return Value{Kind: KindDouble, Double: random.Float64() * 90}
}

func randomSeries(random *rand.Rand) string {
	if random.IntN(3) == 0 {
		return pick(random, someSeries)
	}
	items := make([]string, random.IntN(60))
	for i := range items {
		items[i] = strconv.FormatFloat(random.Float64()*pick(random, []float64{0.5, 20, 100, 400}), 'f', 1, 64)
	}
	return strings.Join(items, " ")
}
