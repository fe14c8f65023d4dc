// Package impact is the impact model (spec/impact/model.md) in Go: spans of a call in, what the call cost its people
// and whose it was out. It is pure: no clock, no I/O, nothing of the Collector. Its answers are those of the Python
// engine, to the last rounded digit.
package impact

import (
	"slices"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// Attribute is one of a verdict's. Value is a string, bool, int64, float64 or []string.
type Attribute struct {
	Key   string
	Value any
}

// Root is the root span that a verdict belongs to.
type Root struct {
	TraceID [16]byte
	SpanID  [8]byte
}

// Verdict is what a call cost its people and whose it was. Later spans do not change it.
type Verdict struct {
	// Attributes of the root, rounded as the model says, in its order.
	Attributes []Attribute
	// Root is nil if it has not come.
	Root *Root
	// Start and End of the call, ns.
	Start, End uint64
	// Severity is none, minor, moderate, severe or critical.
	Severity    string
	Summary     string
	LostSeconds float64 // whole ms
	Partial     bool
	Skipped     int64
	// Evidence is what the verdict rests on, the costliest first.
	Evidence []Evidence
	// Charges are ns by layer, not rounded; they sum up to ExactLost.
	Charges   map[string]float64
	ExactLost float64

	items []*item
	root  *fact
	p     *Parameters
}

// Verdict judges the call by what has come so far. A verdict without a root is partial in any case.
func (s *State) Verdict(p *Parameters, partial bool) *Verdict {
	c := newCall(s.all(), s.badSpans(), p)
	lost := reworkOf(c)
	l := account(c, lost)
	l.settle()
	v := &Verdict{
		Start: c.start, End: c.end, Partial: partial || c.root == nil, Skipped: int64(c.skipped),
		Charges: map[string]float64{}, ExactLost: l.lost, root: c.root, p: p,
	}
	if c.root != nil {
		v.Root = &Root{c.root.trace, spanIDOf(c.root.id)}
	}
	for l, ns := range l.charges {
		if ns != 0 {
			v.Charges[layer(l).String()] = ns
		}
	}
	for _, one := range l.items {
		if milliseconds(one.lost) > 0 && len(v.items) < int(p.whole("evidence.items")) {
			v.items = append(v.items, one)
			v.Evidence = append(v.Evidence, one.evidence())
		}
	}
	v.fill(c, l)
	return v
}

// EvidenceSpans are spans to add to the trace: the costliest stretches, in order of time; ids are computed.
func (v *Verdict) EvidenceSpans() []EvidenceSpan { return evidenceSpans(v.items, v.root, v.p) }

func (v *Verdict) put(key string, value any) {
	v.Attributes = append(v.Attributes, Attribute{key, value})
}

func (v *Verdict) fill(c *call, l *ledger) {
	charged := chargedOf(l)
	lost := int64(0)
	names := make([]string, len(charged))
	v.Attributes = make([]Attribute, 0, 24+len(charged))
	for i, one := range charged {
		lost += one.ms
		names[i] = one.layer.String()
	}
	for _, one := range charged {
		v.put(spec.CxImpactCharge+"."+one.layer.String(), float64(one.ms)/1000)
	}
	v.LostSeconds = float64(lost) / 1000
	v.put(spec.CxImpactLostSeconds, v.LostSeconds)
	v.put(spec.CxImpactLayers, names)
	owner := ""
	if len(charged) > 0 {
		owner = ownerOf(l, charged[0].layer)
		v.put(spec.CxImpactLayer, names[0])
		v.put(spec.CxImpactShare, rounded(float64(charged[0].ms)/float64(lost), 3))
		if owner != "" {
			v.put(spec.CxImpactOwner, owner)
		}
	}
	v.Severity = severityOf(c, l, lost)
	v.put(spec.CxImpactSeverity, v.Severity)
	v.put(spec.CxImpactScore, scoreOf(c, lost))
	v.put(spec.CxImpactFelt, feltOf(c, l))
	texts := make([]string, len(v.Evidence))
	for i := range v.Evidence {
		texts[i] = v.Evidence[i].Text
	}
	v.put(spec.CxImpactEvidence, texts)
	sentence := told{c, l, lost, charged, owner, v.Partial}
	v.Summary = sentence.sentence()
	v.put(spec.CxImpactSummary, v.Summary)
	blind := make([]string, len(c.blind))
	for i, one := range c.blind {
		blind[i] = one.String()
	}
	coverage := 0.0
	if gone := c.goneCount(); gone > 0 {
		coverage = rounded(float64(gone-len(blind))/float64(gone), 3)
	}
	v.put(spec.CxImpactCoverage, coverage)
	v.put(spec.CxImpactUnobserved, blind)
	v.put(spec.CxImpactOutside, int64(c.outside()))
	v.put(spec.CxImpactPartial, v.Partial)
	v.put(spec.CxImpactModel, Model)
	v.put(spec.CxImpactSkipped, v.Skipped)
	if l.measured > 0 {
		v.put(spec.CxMediaMosMin, rounded(l.worstMOS, 2))
		v.put(spec.CxMediaMosMean, rounded(l.mos/float64(l.measured), 2))
	}
	if c.p.priced() {
		customer := float64(l.lost / 3.6e12 * c.p.number("cost.customer_hourly"))
		staff := float64(l.staffedLost / 3.6e12 * c.p.number("cost.agent_hourly"))
		v.put(spec.CxImpactCost, rounded(customer+staff, 2))
		v.put(spec.CxImpactCurrency, c.p.text("cost.currency"))
	}
}

// chargedOf are the layers charged, the largest charge first.
func chargedOf(l *ledger) []chargedLayer {
	var charged []chargedLayer
	for place, ns := range l.charges {
		if ms := milliseconds(ns); ms > 0 {
			charged = append(charged, chargedLayer{layer(place), ms})
		}
	}
	slices.SortStableFunc(charged, func(a, b chargedLayer) int { return compare(b.ms, a.ms) })
	return charged
}

// ownerOf is whom the span behind a layer's costliest item names.
func ownerOf(l *ledger, top layer) string {
	if top == unobserved {
		return ""
	}
	for _, one := range l.items {
		if one.layer == top {
			if one.worst.span != nil {
				return one.worst.span.owner
			}
			return ""
		}
	}
	return ""
}

func severityOf(c *call, l *ledger, lostMs int64) string {
	isShort := false
	if c.outcome() == abandoned {
		last := c.leftIn()
		isShort = last != nil && last.length < c.p.abandonShort
	}
	mostlyDead := l.conversation > 0 &&
		float64(l.dead) >= c.p.number("severity.dead_share")*float64(l.conversation)
	if c.outcome() != noOutcome && !isShort || mostlyDead {
		return spec.CxImpactSeverityCritical
	}
	severity := spec.CxImpactSeverityNone
	for _, name := range []string{
		spec.CxImpactSeverityMinor, spec.CxImpactSeverityModerate, spec.CxImpactSeveritySevere,
	} {
		if lostMs >= c.p.ms("severity."+name) {
			severity = name
		}
	}
	return severity
}

func scoreOf(c *call, lostMs int64) float64 {
	seconds := float64(c.end-c.start) / 1e9
	if seconds <= 0 {
		return 100
	}
	return max(0, rounded(100*(1-float64(lostMs)/1000/seconds), 1))
}

func feltOf(c *call, l *ledger) []string {
	outcome := ""
	if ended := c.outcome(); ended != noOutcome {
		outcome = c.p.table("felt.symptoms")[ended.String()]
	}
	found := []string{}
	for _, one := range felt {
		if lost, ok := l.felt[one]; ok && whole(lost) >= c.p.feltLeast || one == outcome {
			found = append(found, one)
		}
	}
	return found
}
