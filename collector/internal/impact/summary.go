package impact

import (
	"math"
	"strconv"
	"strings"
)

// told is what the sentence of a verdict is made of.
type told struct {
	call      *call
	ledger    *ledger
	lost      int64 // ms
	charged   []chargedLayer
	owner     string
	isPartial bool
}

// chargedLayer is a layer with at least a millisecond.
type chargedLayer struct {
	layer layer
	ms    int64
}

// secondsText is seconds as people say them: whole from 10 s upwards, with one decimal below.
func secondsText(ms float64) string {
	if ms >= 10_000 {
		return strconv.FormatFloat(math.Floor(ms/1000+0.5), 'f', 0, 64)
	}
	return tenths(rounded(ms/1000, 1))
}

func fillWith(template string, fields ...string) string {
	return fill(template, func(name string) (string, bool) {
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == name {
				return fields[i+1], true
			}
		}
		return "", false
	})
}

// sentence is the verdict for a manager, ending in a full stop.
func (t *told) sentence() string {
	p := t.call.p
	text := fillWith(p.table("summary.leads")[t.lead()],
		"lost", secondsText(float64(t.lost)), "call", secondsText(float64(t.call.end-t.call.start)/1e6))
	if len(t.charged) > 0 {
		text += ": " + t.cause() + t.others()
	} else if len(t.call.blind) > 0 {
		names := make([]string, len(t.call.blind))
		for i, l := range t.call.blind {
			names[i] = p.table("summary.names")[l.String()]
		}
		text += fillWith(p.text("summary.unobserved"), "others", joined(names))
	}
	if t.isPartial {
		text += p.text("summary.partial")
	}
	return text + "."
}

// joined is `a`, `a and b`, `a, b and c`.
func joined(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func (t *told) lead() string {
	if ended := t.call.outcome(); ended != noOutcome {
		if len(t.charged) == 0 {
			return ended.String() + "_without_loss"
		}
		return ended.String()
	}
	if len(t.charged) == 0 {
		return "nothing"
	}
	kind := ""
	for _, all := range []bool{false, true} { // items that round to no millisecond count only among themselves
		for _, one := range t.ledger.items {
			if !all && one.lost/1e9 < 0.0005 {
				continue
			}
			if kind != "" && kind != kindOf(one.what) {
				return "mixed"
			}
			kind = kindOf(one.what)
		}
		if kind != "" {
			break
		}
	}
	if kind == "quality" {
		return t.listeners()
	}
	return kind
}

func kindOf(what string) string {
	switch what {
	case metricNames[lossMetric], metricNames[delayMetric], metricNames[ieMetric]:
		return "quality"
	case fidelityWhat:
		return fidelityWhat
	}
	return "wait"
}

func (t *told) listeners() string {
	heard := t.ledger.unheard
	if min(heard[toAgent], heard[toCustomer]) >= t.call.p.number("summary.both_share")*max(heard[toAgent], heard[toCustomer]) {
		return "both"
	}
	if heard[toAgent] > heard[toCustomer] {
		return "to_agent"
	}
	return "to_customer"
}

// cause is the costliest item of the first layer, and who can fix it.
func (t *told) cause() string {
	p, first := t.call.p, t.charged[0].layer
	for _, one := range t.ledger.items {
		if one.layer != first {
			continue
		}
		value := ""
		if one.worst.hasValue {
			value = tenths(rounded(one.worst.value, 1))
		}
		text := fillWith(p.table("summary.causes")[one.what],
			"value", value, "place", p.table("summary.places")[first.String()])
		if t.owner != "" {
			text += fillWith(p.text("summary.owner"), "owner", t.owner)
		}
		return text
	}
	return ""
}

func (t *told) others() string {
	p := t.call.p
	var others []string
	for _, one := range t.charged[1:] {
		if one.ms >= 500 {
			others = append(others, fillWith(p.text("summary.other"),
				"name", p.table("summary.names")[one.layer.String()], "seconds", secondsText(float64(one.ms))))
		}
	}
	if others == nil {
		return ""
	}
	return fillWith(p.text("summary.also"), "others", joined(others))
}
