package cximpactconnector

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// metricSet has all metrics. Those of partial calls and of corrections are apart, so that each sum means one thing.
type metricSet struct {
	calls, callTime, mos, lost, unmeasured *family
	partialCalls, partialLost              *family
	corrections, correctedLost             *family
	warnings                               *family

	all        []*family
	overflowed func(metric string)
	scratch    []string
}

func newMetricSet(config *Config, overflowed func(metric string)) *metricSet {
	m := &metricSet{overflowed: overflowed}
	dimensions := make([]string, len(config.Dimensions))
	for i, one := range config.Dimensions {
		dimensions[i] = one.Name
	}
	add := func(name, unit, description string, shape shape, attributes ...string) *family {
		f := &family{
			name: name, unit: unit, description: description, shape: shape, attributes: attributes,
			series: map[string]*series{},
			limits: limits{config.CardinalityLimit, config.ExemplarsPerSeries, pcommon.Timestamp(config.SeriesExpiration)},
		}
		m.all = append(m.all, f)
		return f
	}
	with := func(names ...string) []string { return append(names, dimensions...) }
	ofCall := with(spec.CxCallOutcome, spec.CxImpactSeverity)
	ofCharge := with(spec.CxLayer, spec.CxOwner, spec.CxImpactSeverity)

	m.calls = add(spec.MetricCxCalls, "{call}", "Calls judged with all that is known of them.", counted, ofCall...)
	m.callTime = add(spec.MetricCxCallTime, "s", "Length of the calls in cx.calls.", summed, dimensions...)
	m.mos = add(spec.MetricCxCallMos, "{score}", "Mean MOS of the calls in cx.calls that were measured.", spread, dimensions...)
	m.mos.bounds = config.MosBuckets
	m.lost = add(spec.MetricCxImpactLost, "s", "Seconds that the calls in cx.calls lost, by the layer charged.", summed, ofCharge...)
	m.unmeasured = add(spec.MetricCxImpactUnmeasured, "{call}",
		"Calls in cx.calls that went through the layer while nobody measured it.", counted, with(spec.CxLayer)...)
	m.partialCalls = add(spec.MetricCxPartialCalls, "{call}",
		"Verdicts on calls of which spans may be missing; not part of cx.calls.", counted, ofCall...)
	m.partialLost = add(spec.MetricCxImpactPartialLost, "s",
		"Seconds that the calls in cx.partial_calls lost; not part of cx.impact.lost.", summed, ofCharge...)
	m.corrections = add(spec.MetricCxImpactCorrections, "{correction}",
		"Verdicts that changed after they had been counted, by what the new one says.", counted, ofCall...)
	m.correctedLost = add(spec.MetricCxImpactCorrectedLost, "s",
		"Seconds in the new verdicts of cx.impact.corrections.", summed, ofCharge...)
	m.warnings = add(spec.MetricCxImpactWarnings, "{warning}", "Layers that hurt a call while it was running.", counted,
		spec.CxLayer, spec.CxWarningWhat, spec.CxOwner)
	return m
}

// add counts in one metric; values are those of the metric's own attributes, then the dimensions.
func (m *metricSet) add(f *family, now pcommon.Timestamp, amount float64, from origin, dimensions []string, own ...string) {
	m.scratch = slices.Concat(m.scratch[:0], own, dimensions)
	if f.add(now, amount, from, m.scratch) {
		m.overflowed(f.name)
	}
}

// addVerdict counts a verdict of a kind.
func (m *metricSet) addVerdict(k kind, now pcommon.Timestamp, from origin, v *verdict) {
	calls, lost := m.calls, m.lost
	switch k {
	case partial:
		calls, lost = m.partialCalls, m.partialLost
	case correction:
		calls, lost = m.corrections, m.correctedLost
	}
	m.add(calls, now, 1, from, v.values, v.outcome, v.severity)
	for i, seconds := range v.charges {
		if seconds == 0 {
			continue
		}
		owner := "" // cx.impact.owner is that of the most charged layer; nobody said who owns the others
		if layers[i] == v.layer {
			owner = v.owner
		}
		m.add(lost, now, seconds, from, v.values, layers[i], owner, v.severity)
	}
	if k != whole {
		return
	}
	m.add(m.callTime, now, v.seconds, from, v.values)
	if v.mos != 0 {
		m.add(m.mos, now, v.mos, from, v.values)
	}
	for i, blind := range v.blind {
		if blind {
			m.add(m.unmeasured, now, 1, from, v.values, layers[i])
		}
	}
}

// addWarning counts a warning.
func (m *metricSet) addWarning(now pcommon.Timestamp, from origin, w warned) {
	m.add(m.warnings, now, 1, from, nil, w.layer, w.what, w.owner)
}
