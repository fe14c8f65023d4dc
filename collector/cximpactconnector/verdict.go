package cximpactconnector

import (
	"slices"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// verdict is what metrics are made of. What was absent, or could not be read, is zero.
type verdict struct {
	severity string
	outcome  string
	layer    string // the most charged one
	owner    string // of that layer
	charges  [len(layers)]float64
	blind    [len(layers)]bool // layers gone through and not measured
	mos      float64
	seconds  float64 // length of the root
	values   []string
}

// reader reads spans, and has bad called with the name of each attribute that cannot be read.
type reader struct {
	dimensions []Dimension
	bad        func(attribute string)
}

// verdict reads what a span says of a call.
func (r *reader) verdict(resource pcommon.Resource, span ptrace.Span) verdict {
	var v verdict
	for name, value := range span.Attributes().All() {
		if layer, is := chargedLayer(name); is {
			if layer < 0 || !isSeconds(value) {
				r.bad(spec.CxImpactCharge)
				continue
			}
			v.charges[layer] = number(value)
			continue
		}
		if name == spec.CxImpactUnobserved {
			r.readBlind(&v, value)
			continue
		}
		check, known := checks[name]
		if !known {
			continue
		}
		if !check(value) {
			r.bad(name)
			continue
		}
		switch name {
		case spec.CxImpactSeverity:
			v.severity = value.Str()
		case spec.CxCallOutcome:
			v.outcome = value.Str()
		case spec.CxImpactLayer:
			v.layer = value.Str()
		case spec.CxImpactOwner:
			v.owner = value.Str()
		case spec.CxMediaMosMean:
			v.mos = number(value)
		}
	}
	v.seconds = r.length(span)
	v.values = r.valuesOf(resource, span)
	return v
}

func (r *reader) readBlind(v *verdict, value pcommon.Value) {
	if value.Type() != pcommon.ValueTypeSlice {
		r.bad(spec.CxImpactUnobserved)
		return
	}
	for _, item := range value.Slice().All() {
		layer := slices.Index(layers[:], item.Str()) // of what is no string, Str is empty
		if layer < 0 {
			r.bad(spec.CxImpactUnobserved)
			continue
		}
		v.blind[layer] = true
	}
}

// length is how long a span lasted in seconds, or 0 if that cannot be.
func (r *reader) length(span ptrace.Span) float64 {
	start, end := span.StartTimestamp(), span.EndTimestamp()
	if start == 0 || end < start || float64(end-start)/1e9 > maxSeconds {
		r.bad("span time")
		return 0
	}
	return float64(end-start) / 1e9
}

// valuesOf reads the dimensions, from the span, else from its resource, else their default.
func (r *reader) valuesOf(resource pcommon.Resource, span ptrace.Span) []string {
	values := make([]string, len(r.dimensions))
	for i, one := range r.dimensions {
		values[i] = r.dimension(span.Attributes(), one.Name)
		if values[i] == "" {
			values[i] = r.dimension(resource.Attributes(), one.Name)
		}
		if values[i] == "" {
			values[i] = one.Default
		}
	}
	return values
}

func (r *reader) dimension(attributes pcommon.Map, name string) string {
	value, found := attributes.Get(name)
	if !found {
		return ""
	}
	switch value.Type() {
	case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		if text := value.AsString(); len(text) <= maxText && utf8.ValidString(text) {
			return text
		}
	}
	r.bad(name)
	return ""
}

// warned is what metrics are made of at a warning.
type warned struct{ layer, what, owner string }

// warning reads what a warning says.
func (r *reader) warning(span ptrace.Span) warned {
	return warned{
		r.text(span, spec.CxWarningLayer), r.text(span, spec.CxWarningWhat), r.text(span, spec.CxWarningOwner),
	}
}

// text reads a string that checks can be asked about.
func (r *reader) text(span ptrace.Span, name string) string {
	value, found := span.Attributes().Get(name)
	if !found {
		return ""
	}
	if !checks[name](value) {
		r.bad(name)
		return ""
	}
	return value.Str()
}
