package cximpactconnector

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

const (
	maxSeconds = 1e7  // 116 days, as wait.max in spec/impact/parameters.yaml
	maxText    = 256  // bytes of a value by which series are told apart: bounds their memory
	maxLong    = 4096 // bytes of other text in a log record
	personal   = spec.CxPii + "."
)

// layers are the layers that can be charged, in path order.
var layers = [...]string{
	spec.CxLayerCarrier, spec.CxLayerCcaas, spec.CxLayerAgentNetwork, spec.CxLayerEndpoint, spec.CxLayerVoiceAi,
	spec.CxLayerHandoff, spec.CxLayerCrm, spec.CxLayerAgent, spec.CxLayerUnobserved,
}

// checks say whether the value of an attribute can be read. What they name goes into log records as it is.
var checks = map[string]func(pcommon.Value) bool{
	spec.CxImpactLostSeconds: within(0, maxSeconds),
	spec.CxImpactLayer:       oneOf(layers[:]...),
	spec.CxImpactShare:       within(0, 1),
	spec.CxImpactOwner:       textOf(maxText),
	spec.CxImpactSeverity: oneOf(spec.CxImpactSeverityNone, spec.CxImpactSeverityMinor,
		spec.CxImpactSeverityModerate, spec.CxImpactSeveritySevere, spec.CxImpactSeverityCritical),
	spec.CxImpactScore:    within(0, 100),
	spec.CxImpactCoverage: within(0, 1),
	spec.CxImpactOutside:  isCount,
	spec.CxImpactPartial:  isFlag,
	spec.CxImpactCost:     within(0, math.MaxFloat64),
	spec.CxImpactCurrency: textOf(maxText),
	spec.CxImpactModel:    textOf(maxText),
	spec.CxImpactSkipped:  isCount,
	spec.CxMediaMosMin:    isMOS,
	spec.CxMediaMosMean:   isMOS,
	spec.CxCallID:         textOf(maxLong),
	spec.CxCallNamespace:  textOf(maxLong),
	spec.CxCallMedium:     textOf(maxText),
	spec.CxCallOutcome: oneOf(spec.CxCallOutcomeCompleted, spec.CxCallOutcomeContained,
		spec.CxCallOutcomeTransferred, spec.CxCallOutcomeAbandoned, spec.CxCallOutcomeDropped, spec.CxCallOutcomeFailed),
	spec.CxWarningLayer:       oneOf(layers[:]...),
	spec.CxWarningWhat:        textOf(maxText),
	spec.CxWarningOwner:       textOf(maxText),
	spec.CxWarningLostSeconds: within(0, maxSeconds),
}

var (
	isSeconds = within(0, maxSeconds)
	isSummary = textOf(maxLong)
	// MOS of the narrowband E-model is 1 to 4.5 (ITU-T G.107 Annex B).
	isMOS = within(1, 4.5)
)

// number reads a double or an int.
func number(value pcommon.Value) float64 {
	switch value.Type() {
	case pcommon.ValueTypeDouble:
		return value.Double()
	case pcommon.ValueTypeInt:
		return float64(value.Int())
	}
	return math.NaN()
}

// within is a check for numbers; NaN is within nothing.
func within(low, high float64) func(pcommon.Value) bool {
	return func(value pcommon.Value) bool {
		x := number(value)
		return x >= low && x <= high
	}
}

func isCount(value pcommon.Value) bool {
	return value.Type() == pcommon.ValueTypeInt && value.Int() >= 0
}

func isFlag(value pcommon.Value) bool {
	return value.Type() == pcommon.ValueTypeBool
}

// textOf is a check for text; a protocol buffer's string, and a label of Prometheus, must be UTF-8.
func textOf(longest int) func(pcommon.Value) bool {
	return func(value pcommon.Value) bool {
		return value.Type() == pcommon.ValueTypeStr && len(value.Str()) <= longest && utf8.ValidString(value.Str())
	}
}

func oneOf(names ...string) func(pcommon.Value) bool {
	return func(value pcommon.Value) bool {
		return value.Type() == pcommon.ValueTypeStr && slices.Contains(names, value.Str())
	}
}

// chargedLayer gives the layer of an attribute `cx.impact.charge.<layer>`, by its place in layers, or -1 if it is
// none that can be charged. It says false if it is another attribute.
func chargedLayer(name string) (int, bool) {
	layer, is := strings.CutPrefix(name, spec.CxImpactCharge+".")
	if !is {
		return 0, false
	}
	return slices.Index(layers[:], layer), true
}
