package otlpjson

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

func received(t *testing.T, text string) []Received {
	t.Helper()
	var found []Received
	reader := Reader{
		Latency: func(string) (string, bool) { return "", false },
		Span:    func(_ *impact.Input, as Received) { found = append(found, as) },
		Problem: func(_ int, text string) { t.Error(text) },
	}
	reader.Read(bytes.NewReader([]byte(text)))
	return found
}

const (
	traceHex  = "5b8efff798038103d269b633813fc60c"
	rootStart = `{"traceId": "` + traceHex + `", "spanId": "0000000000000001", "startTimeUnixNano": "1", `
)

// nobody is the verdict on spans of no call.
var nobody = new(impact.State).Verdict(impact.Default(), false)

func request(spans ...string) string {
	return `{"resourceSpans": [{"schemaUrl": "u", "scopeSpans": [{"spans": [` + strings.Join(spans, ", ") + `]}]}]}`
}

func TestTheRootIsStampedAndAnEarlierVerdictTakenOff(t *testing.T) {
	verdict := new(impact.State).Verdict(impact.Default(), false)
	verdict.Root = &impact.Root{SpanID: [8]byte{7: 1}}
	verdict.Severity, verdict.Summary = "severe", "Zoë"
	verdict.Attributes = []impact.Attribute{
		{Key: "cx.impact.summary", Value: "Zoë"}, {Key: "cx.impact.score", Value: 54.0},
		{Key: "cx.impact.skipped", Value: int64(3)}, {Key: "cx.impact.layers", Value: []string{"crm"}},
		{Key: "cx.impact.partial", Value: false},
	}
	once := string(AppendStamped(nil, received(t, request(
		rootStart+`"endTimeUnixNano": "9", "own": 1}`,
		rootStart+`"endTimeUnixNano": "8", "attributes": [{"key": "cx.impact.score", "value": {"doubleValue": 1}}]}`,
	)), verdict))
	expected := `{"resourceSpans": [{"schemaUrl": "u", "scopeSpans": [{"spans": [` +
		rootStart + `"endTimeUnixNano": "9", "own": 1, "attributes": [` +
		`{"key": "cx.impact.summary", "value": {"stringValue": "Zo\u00eb"}}, ` +
		`{"key": "cx.impact.score", "value": {"doubleValue": 54.0}}, ` +
		`{"key": "cx.impact.skipped", "value": {"intValue": "3"}}, ` +
		`{"key": "cx.impact.layers", "value": {"arrayValue": {"values": [{"stringValue": "crm"}]}}}, ` +
		`{"key": "cx.impact.partial", "value": {"boolValue": false}}], "status": {"message": "Zo\u00eb", "code": 2}}, ` +
		rootStart + `"endTimeUnixNano": "8", "attributes": []}]}]}]}`
	check(t, "stamped", expected, once)
	check(t, "stamped again", expected, string(AppendStamped(nil, received(t, once), verdict)))
	verdict.Severity = "minor"
	if again := string(AppendStamped(nil, received(t, once), verdict)); !strings.Contains(again, `"status": {}`) {
		t.Error("the earlier verdict's status is left:", again)
	}
}

func TestEvidenceIsWrittenInGroupsOfWhoDidIt(t *testing.T) {
	one := impact.EvidenceSpan{
		TraceID: [16]byte{15: 9}, SpanID: [8]byte{7: 9}, ParentID: [8]byte{7: 1}, Name: "carrier loss", Start: 5, End: 7,
		Layer: "carrier", What: "loss", Owner: "Acme", Seconds: 1e-5, IsError: true, Message: "bad",
	}
	groups := evidenceGroups([]impact.EvidenceSpan{one})
	check(t, "group", `{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "carrier: Acme"}}]}, `+
		`"scopeSpans": [{"scope": {"name": "cxotel.impact"}, "spans": [`+
		`{"traceId": "00000000000000000000000000000009", "spanId": "0000000000000009", `+
		`"parentSpanId": "0000000000000001", "name": "carrier loss", "kind": 1, `+
		`"startTimeUnixNano": "5", "endTimeUnixNano": "7", "attributes": [`+
		`{"key": "cx.evidence.layer", "value": {"stringValue": "carrier"}}, `+
		`{"key": "cx.evidence.what", "value": {"stringValue": "loss"}}, `+
		`{"key": "cx.evidence.seconds", "value": {"doubleValue": 1e-05}}, `+
		`{"key": "cx.evidence.owner", "value": {"stringValue": "Acme"}}], "status": {"message": "bad", "code": 2}}]}]}`,
		string(appendJSON(nil, groups[0])))
	other := one
	other.Owner = ""
	for _, want := range []struct {
		groups int
		spans  []impact.EvidenceSpan
	}{{0, nil}, {1, []impact.EvidenceSpan{one, one}}, {2, []impact.EvidenceSpan{one, other}}, {3, []impact.EvidenceSpan{one, other, one}}} {
		if got := len(evidenceGroups(want.spans)); got != want.groups {
			t.Errorf("%d spans are in %d groups, not %d", len(want.spans), got, want.groups)
		}
	}
	if got := other.Service(); got != "carrier: unknown" {
		t.Error("without an owner:", got)
	}
}

func TestWithoutARootOnlyTheFormChanges(t *testing.T) {
	spans := received(t, `{"batches": [{"scope_spans": [{"spans": [{"trace_id": "W47/95gDgQPSabYzgT/GDA==",
		"spanId": "AAAAAAAAAAE=", "start_time_unix_nano": 1, "endTimeUnixNano": 2.0, "kind": "SPAN_KIND_CLIENT",
		"attributes": [{"key": "k", "value": {"double_value": NaN}}, {"key": "i", "value": {"intValue": 7}}]}]}]}]}`)
	check(t, "conforming", `{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "`+traceHex+`", `+
		`"spanId": "0000000000000001", "startTimeUnixNano": 1, "endTimeUnixNano": 2.0, "kind": 3, "attributes": [`+
		`{"key": "k", "value": {"doubleValue": "NaN"}}, {"key": "i", "value": {"intValue": "7"}}]}]}]}]}`,
		string(AppendStamped(nil, spans, nobody)))
}

func TestWhatJaegerMovedGoesBackToItsPlace(t *testing.T) {
	spans := received(t, `{"data": [{"processes": {"p": {"serviceName": "svc", "tags": []}}, "spans": [{"traceID": "`+traceHex+`",
		"spanID": "2", "processID": "p", "operationName": "talk", "startTime": 5, "duration": 2, "tags": [
		{"key": "span.kind", "value": "server"}, {"key": "w3c.tracestate", "value": "a=b"},
		{"key": "otel.status_code", "value": "ERROR"}, {"key": "error", "type": "bool", "value": true},
		{"key": "otel.scope.name", "value": "s"}, {"key": "keys", "type": "string", "value": "[\"a\"]"}],
		"references": [{"refType": "CHILD_OF", "traceID": "`+traceHex+`", "spanID": "1"}, {"traceID": "`+traceHex+`", "spanID": "3"}],
		"logs": [{"timestamp": 6, "fields": [{"key": "event", "value": "ring"}]}]}]}]}`)
	check(t, "in OTLP", `{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]}, `+
		`"scopeSpans": [{"scope": {"name": "s"}, "spans": [{"traceId": "`+traceHex+`", "spanId": "0000000000000002", `+
		`"kind": 2, "traceState": "a=b", "parentSpanId": "0000000000000001", `+
		`"links": [{"traceId": "`+traceHex+`", "spanId": "0000000000000003"}], "name": "talk", `+
		`"startTimeUnixNano": "5000", "endTimeUnixNano": "7000", `+
		`"attributes": [{"key": "keys", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}}], `+
		`"events": [{"timeUnixNano": "6000", "name": "ring", "attributes": []}], "status": {"code": 2}}]}]}]}`,
		string(AppendStamped(nil, spans, nobody)))
}
