package cximpactconnector

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// judgeScope is the instrumentation scope of the judge's own spans, and of what is made of them here.
const judgeScope = "cxotel.impact"

// kind is what a span says.
type kind int

const (
	nothing    kind = iota
	whole           // a verdict on a root, with all that is known of the call
	partial         // a verdict of which spans may be missing, on a root or on a span `call (partial)`
	correction      // a verdict that changed after it had gone out
	warning         // a layer hurts a running call
)

// String is the kind's name in the connector's own telemetry.
func (k kind) String() string {
	return [...]string{"", "verdict", "partial", "correction", "warning"}[k]
}

// each visits the spans of a resource that say something. All others cost a comparison or two.
func each(resource ptrace.ResourceSpans, visit func(kind, ptrace.Span)) {
	for _, scope := range resource.ScopeSpans().All() {
		kindOf := kindOfRoot
		if scope.Scope().Name() == judgeScope {
			kindOf = kindOfJudges
		}
		for _, span := range scope.Spans().All() {
			if k := kindOf(span); k != nothing {
				visit(k, span)
			}
		}
	}
}

func kindOfRoot(span ptrace.Span) kind {
	if name := span.Name(); name != spec.SpanCallInbound && name != spec.SpanCallOutbound {
		return nothing
	}
	layer, found := span.Attributes().Get(spec.CxLayer)
	if !found || layer.Str() != spec.CxLayerCall || !isJudged(span) {
		return nothing
	}
	// One that does not say it in a way that can be read may be partial, and those must not mix with the others.
	if value, found := span.Attributes().Get(spec.CxImpactPartial); found && (!isFlag(value) || value.Bool()) {
		return partial
	}
	return whole
}

func kindOfJudges(span ptrace.Span) kind {
	switch name := span.Name(); {
	case name == spec.SpanImpactWarning:
		return warning
	case name == spec.SpanCallPartial && isJudged(span):
		return partial
	case name == spec.SpanImpactCorrection && isJudged(span):
		return correction
	}
	return nothing // evidence: its seconds are in the root's charges
}

func isJudged(span ptrace.Span) bool {
	_, judged := span.Attributes().Get(spec.CxImpactModel)
	return judged
}
