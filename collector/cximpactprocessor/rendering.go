package cximpactprocessor

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/callstore"
	"github.com/cxotel/cxotel/collector/internal/impact"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

// What a judge's own spans say of themselves (trace model, "What the judge adds").
const (
	judgeService = "cx-impact"
	judgeScope   = "cxotel.impact"
)

var severities = []string{
	spec.CxImpactSeverityNone, spec.CxImpactSeverityMinor, spec.CxImpactSeverityModerate,
	spec.CxImpactSeveritySevere, spec.CxImpactSeverityCritical,
}

// severityRank is a severity's place; never is above all.
func severityRank(severity string) (int, bool) {
	if severity == never {
		return len(severities), true
	}
	rank := slices.Index(severities, severity)
	return rank, rank > 0
}

// renderer makes spans of emissions. Equal emissions make equal spans.
type renderer struct {
	copied    []string
	errorFrom int
	evidence  bool
}

// render adds what is to be sent of an emission.
func (r *renderer) render(into ptrace.Traces, one callstore.Emission) error {
	for _, other := range one.Others {
		if err := addRoot(into, other.Payload, unstamp); err != nil {
			return err
		}
	}
	switch one.Kind {
	case callstore.Judged:
		err := addRoot(into, one.Root.Payload, func(root ptrace.Span) {
			unstamp(root)
			r.stamp(root, one)
		})
		if err != nil {
			return err
		}
		if r.evidence {
			r.addEvidence(into, one.Verdict)
		}
	case callstore.PartialCall:
		r.addPartial(into, one)
	case callstore.Correction:
		r.addCorrection(into, one)
	case callstore.Warning:
		addWarning(into, one)
	case callstore.Passed:
	}
	return nil
}

// addRoot adds a root as it came, with its resource and scope, after a last change.
func addRoot(into ptrace.Traces, payload []byte, change func(ptrace.Span)) error {
	var unmarshaler ptrace.ProtoUnmarshaler
	td, err := unmarshaler.UnmarshalTraces(payload)
	if err != nil {
		return err
	}
	for _, resource := range td.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				change(span)
			}
		}
	}
	td.ResourceSpans().MoveAndAppendTo(into.ResourceSpans())
	return nil
}

// unstamp takes an incoming verdict off, and the status that came with it.
func unstamp(root ptrace.Span) {
	summary, found := root.Attributes().Get(spec.CxImpactSummary)
	if found && root.Status().Message() == summary.AsString() {
		root.Status().SetCode(ptrace.StatusCodeUnset)
		root.Status().SetMessage("")
	}
	root.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool { return isStamp(name) })
}

func (r *renderer) stamp(root ptrace.Span, one callstore.Emission) {
	r.putVerdict(root, one)
	if root.Status().Code() == ptrace.StatusCodeUnset && r.isError(one.Verdict) {
		root.Status().SetCode(ptrace.StatusCodeError)
		root.Status().SetMessage(one.Verdict.Summary)
	}
}

func (r *renderer) isError(verdict *impact.Verdict) bool {
	return slices.Index(severities, verdict.Severity) >= r.errorFrom
}

// putVerdict writes a verdict's attributes, those copied from other spans, and links to parts not seen.
func (r *renderer) putVerdict(span ptrace.Span, one callstore.Emission) {
	attributes := span.Attributes()
	attributes.EnsureCapacity(attributes.Len() + len(one.Verdict.Attributes) + len(one.Copied))
	for i, value := range one.Copied {
		if _, has := attributes.Get(r.copied[min(i, len(r.copied)-1)]); value != "" && i < len(r.copied) && !has {
			attributes.PutStr(r.copied[i], value)
		}
	}
	for _, attribute := range one.Verdict.Attributes {
		putValue(attributes, attribute)
	}
	for _, link := range one.Links {
		to := span.Links().AppendEmpty()
		to.SetTraceID(pcommon.TraceID(link.Trace))
		to.SetSpanID(pcommon.SpanID(link.Root))
	}
}

func putValue(attributes pcommon.Map, one impact.Attribute) {
	switch value := one.Value.(type) {
	case string:
		attributes.PutStr(one.Key, value)
	case bool:
		attributes.PutBool(one.Key, value)
	case int64:
		attributes.PutInt(one.Key, value)
	case float64:
		attributes.PutDouble(one.Key, value)
	case []string:
		list := attributes.PutEmptySlice(one.Key)
		list.EnsureCapacity(len(value))
		for _, item := range value {
			list.AppendEmpty().SetStr(item)
		}
	}
}

// own gives the place of the judge's own spans of a service.
func own(into ptrace.Traces, service string) ptrace.SpanSlice {
	resource := into.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr(spec.ServiceName, service)
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName(judgeScope)
	return scope.Spans()
}

func (r *renderer) addEvidence(into ptrace.Traces, verdict *impact.Verdict) {
	found := verdict.EvidenceSpans()
	var spans ptrace.SpanSlice
	for i := range found {
		one := &found[i]
		if i == 0 || one.Service() != found[i-1].Service() {
			spans = own(into, one.Service())
		}
		span := spans.AppendEmpty()
		span.SetTraceID(one.TraceID)
		span.SetSpanID(one.SpanID)
		span.SetParentSpanID(one.ParentID)
		span.SetName(one.Name)
		span.SetKind(ptrace.SpanKindInternal)
		span.SetStartTimestamp(pcommon.Timestamp(one.Start))
		span.SetEndTimestamp(pcommon.Timestamp(one.End))
		span.Attributes().PutStr(spec.CxEvidenceLayer, one.Layer)
		span.Attributes().PutStr(spec.CxEvidenceWhat, one.What)
		span.Attributes().PutDouble(spec.CxEvidenceSeconds, one.Seconds)
		if one.Owner != "" {
			span.Attributes().PutStr(spec.CxEvidenceOwner, one.Owner)
		}
		if one.IsError {
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage(one.Message)
		}
	}
}

// addPartial adds the span that stands for a call whose root did not come.
func (r *renderer) addPartial(into ptrace.Traces, one callstore.Emission) {
	span := own(into, judgeService).AppendEmpty()
	trace := hex.EncodeToString(one.Key.Trace[:])
	span.SetTraceID(pcommon.TraceID(one.Key.Trace))
	span.SetSpanID(computedID(trace, spec.SpanCallPartial))
	span.SetName(spec.SpanCallPartial)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetStartTimestamp(pcommon.Timestamp(one.Verdict.Start))
	span.SetEndTimestamp(pcommon.Timestamp(one.Verdict.End))
	r.stamp(span, one)
}

// addCorrection adds the span that says how a verdict changed: no length, at the call's end.
func (r *renderer) addCorrection(into ptrace.Traces, one callstore.Emission) {
	span := own(into, judgeService).AppendEmpty()
	id, parent := pcommon.TraceID(one.Key.Trace), computedID(hex.EncodeToString(one.Key.Trace[:]), spec.SpanCallPartial)
	if root := one.Verdict.Root; root != nil {
		id, parent = root.TraceID, root.SpanID
	}
	span.SetTraceID(id)
	span.SetSpanID(computedID(hex.EncodeToString(id[:]), spec.SpanImpactCorrection, strconv.Itoa(one.Number), contentOf(one.Verdict)))
	span.SetParentSpanID(parent)
	span.SetName(spec.SpanImpactCorrection)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetStartTimestamp(pcommon.Timestamp(one.Verdict.End))
	span.SetEndTimestamp(pcommon.Timestamp(one.Verdict.End))
	r.stamp(span, one)
}

// addWarning adds the span that tells of a running call, below the media episode that showed it.
func addWarning(into ptrace.Traces, one callstore.Emission) {
	warned := one.Warned
	span := own(into, impact.ServiceOf(warned.Layer, warned.Owner)).AppendEmpty()
	trace := hex.EncodeToString(warned.Trace[:])
	span.SetTraceID(pcommon.TraceID(warned.Trace))
	span.SetSpanID(computedID(trace, spec.SpanImpactWarning, warned.Layer, hex.EncodeToString(warned.Episode[:])))
	span.SetParentSpanID(pcommon.SpanID(warned.Episode))
	span.SetName(spec.SpanImpactWarning)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetStartTimestamp(pcommon.Timestamp(warned.Start))
	span.SetEndTimestamp(pcommon.Timestamp(warned.End))
	attributes := span.Attributes()
	attributes.PutStr(spec.CxWarningLayer, warned.Layer)
	if warned.Owner != "" {
		attributes.PutStr(spec.CxWarningOwner, warned.Owner)
	}
	message := warned.Layer + ": the audio is bad"
	for _, item := range one.Verdict.Evidence {
		if item.Layer == warned.Layer {
			attributes.PutStr(spec.CxWarningWhat, item.What)
			message = item.Text
			break
		}
	}
	attributes.PutDouble(spec.CxWarningLostSeconds, one.Verdict.LostSeconds)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage(message)
}

// contentOf is text that two verdicts share only if they say the same.
func contentOf(verdict *impact.Verdict) string {
	var text strings.Builder
	for _, one := range verdict.Attributes {
		text.WriteString(one.Key)
		attribute := pcommon.NewMap()
		putValue(attribute, one)
		value, _ := attribute.Get(one.Key)
		text.WriteString(value.AsString())
	}
	return text.String()
}

// computedID is the first half of a sha256 over the parts, joined by NUL, as an evidence span's.
func computedID(parts ...string) pcommon.SpanID {
	digest := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return pcommon.SpanID(digest[:8])
}
