package otlpjson

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/cxotel/cxotel/collector/internal/impact"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

const (
	judgeScope   = "cxotel.impact"
	internalKind = number("1") // OTLP's SPAN_KIND_INTERNAL
	errorCode    = number("2") // OTLP's STATUS_CODE_ERROR
)

// AppendStamped appends the trace as an ExportTraceServiceRequest in OTLP/JSON, on one line without its end.
//
// Every span is as it came, all its fields with it, but for what a judge adds: an earlier verdict on the root and
// spans of scope cxotel.impact are taken off, this verdict and its evidence spans are put on. Of copies of the root
// the one that counts (latest end, then received last) is stamped.
func AppendStamped(out []byte, received []Received, verdict *impact.Verdict) []byte {
	kept := make([]Received, 0, len(received))
	winner := -1
	for _, one := range received {
		if one.isOurs {
			continue
		}
		if verdict.Root != nil && one.spanID == verdict.Root.SpanID {
			one.raw = unstamped(one.raw)
			if winner < 0 || one.end >= kept[winner].end {
				winner = len(kept)
			}
		}
		kept = append(kept, one)
	}
	if winner >= 0 {
		kept[winner].raw = stamped(kept[winner].raw, verdict)
	}
	groups := append(regroup(kept), evidenceGroups(verdict.EvidenceSpans())...)
	return appendJSON(out, objectOf("resourceSpans", groups))
}

// unstamped gives the span without an earlier verdict, and without the status that came with it.
func unstamped(raw *object) *object {
	items, ok := raw.get("attributes").([]any)
	if !ok {
		return raw
	}
	own := make([]any, 0, len(items))
	isJudged := false // the status says an earlier summary
	status, hasStatus := raw.get("status").(*object)
	for _, item := range items {
		key := keyOf(item)
		if key == spec.CxImpactSummary && hasStatus {
			said := objectOf("stringValue", status.get("message"))
			isJudged = isJudged || equal(item.(*object).get("value"), said)
		}
		if !strings.HasPrefix(key, "cx.impact.") && !strings.HasPrefix(key, "cx.media.mos.") {
			own = append(own, item)
		}
	}
	out := copied(raw)
	out.set("attributes", own)
	if isJudged {
		out.set("status", new(object))
	}
	return out
}

func stamped(raw *object, verdict *impact.Verdict) *object {
	own, _ := raw.get("attributes").([]any)
	out := copied(raw)
	out.set("attributes", append(own[:len(own):len(own)], writeAttributes(verdict.Attributes)...))
	var code any
	if status, ok := raw.get("status").(*object); ok {
		code = status.get("code")
	}
	// Trace model: the status of a root without one of its own is Error from severe on.
	isError := verdict.Severity == spec.CxImpactSeveritySevere || verdict.Severity == spec.CxImpactSeverityCritical
	var unheard spanReader
	if isError && unheard.enum(code, statusCodes, "") == 0 {
		out.set("status", writeStatus(true, verdict.Summary))
	}
	return out
}

func keyOf(item any) string {
	fields, ok := item.(*object)
	if !ok {
		return ""
	}
	key, _ := fields.get("key").(string)
	return key
}

func copied(node *object) *object {
	out := new(object)
	for i, key := range node.keys {
		out.set(key, node.values[i])
	}
	return out
}

// evidenceGroups has neighbours of one service in one group.
func evidenceGroups(evidence []impact.EvidenceSpan) []any {
	var groups []any
	for begin := 0; begin < len(evidence); {
		service := evidence[begin].Service()
		var spans []any
		for ; begin < len(evidence) && evidence[begin].Service() == service; begin++ {
			spans = append(spans, writeEvidence(&evidence[begin]))
		}
		groups = append(groups, objectOf(
			"resource", objectOf("attributes", writeAttributes([]impact.Attribute{{Key: spec.ServiceName, Value: service}})),
			"scopeSpans", []any{objectOf("scope", objectOf("name", judgeScope), "spans", spans)},
		))
	}
	return groups
}

func writeEvidence(one *impact.EvidenceSpan) *object {
	out := objectOf("traceId", idText(one.TraceID[:]), "spanId", idText(one.SpanID[:]))
	if parent := idText(one.ParentID[:]); parent != "" {
		out.set("parentSpanId", parent)
	}
	out.set("name", one.Name)
	out.set("kind", internalKind)
	out.set("startTimeUnixNano", strconv.FormatUint(one.Start, 10))
	out.set("endTimeUnixNano", strconv.FormatUint(one.End, 10))
	attributes := []impact.Attribute{
		{Key: spec.CxEvidenceLayer, Value: one.Layer},
		{Key: spec.CxEvidenceWhat, Value: one.What},
		{Key: spec.CxEvidenceSeconds, Value: one.Seconds},
	}
	if one.Owner != "" {
		attributes = append(attributes, impact.Attribute{Key: spec.CxEvidenceOwner, Value: one.Owner})
	}
	out.set("attributes", writeAttributes(attributes))
	out.set("status", writeStatus(one.IsError, one.Message))
	return out
}

// idText gives an id in hex, "" for none.
func idText(id []byte) string {
	if isZero(id) {
		return ""
	}
	return hex.EncodeToString(id)
}

// writeStatus gives a status, without the fields that have their default.
func writeStatus(isError bool, message string) *object {
	out := new(object)
	if message != "" {
		out.set("message", message)
	}
	if isError {
		out.set("code", errorCode)
	}
	return out
}

func writeAttributes(attributes []impact.Attribute) []any {
	out := make([]any, len(attributes))
	for i, one := range attributes {
		out[i] = objectOf("key", one.Key, "value", writeValue(one.Value))
	}
	return out
}

// writeValue gives the AnyValue of an attribute's value.
func writeValue(value any) *object {
	switch value := value.(type) {
	case string:
		return objectOf("stringValue", value)
	case bool:
		return objectOf("boolValue", value)
	case int64:
		return objectOf("intValue", strconv.FormatInt(value, 10))
	case float64:
		return objectOf("doubleValue", writeDouble(value))
	case []string:
		items := make([]any, len(value))
		for i, item := range value {
			items[i] = writeValue(item)
		}
		return objectOf("arrayValue", objectOf("values", items))
	}
	return new(object)
}

// AppendAttributes appends a JSON object of attributes in their order, as Python's json.dumps writes it.
func AppendAttributes(out []byte, attributes []impact.Attribute) []byte {
	object := new(object)
	for _, one := range attributes {
		object.set(one.Key, plain(one.Value))
	}
	return appendJSON(out, object)
}

// plain gives an attribute's value as a parsed document would have it.
func plain(value any) any {
	switch value := value.(type) {
	case int64:
		return number(strconv.FormatInt(value, 10))
	case []string:
		items := make([]any, len(value))
		for i, item := range value {
			items[i] = item
		}
		return items
	}
	return value
}
