package impact_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"github.com/cxotel/cxotel/collector/internal/impact"
	"github.com/cxotel/cxotel/collector/internal/otlpjson"
)

func casesIn(t *testing.T, folder string) []string {
	files, err := filepath.Glob(filepath.Join(folder, "*", "input.json"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// judged is the verdict on a case, with its parameters where it has some.
func judged(t *testing.T, dir string) *impact.Verdict {
	parameters := impact.Default()
	if content, err := os.ReadFile(filepath.Join(dir, "parameters.json")); err == nil {
		var overrides map[string]any
		if err := json.Unmarshal(content, &overrides); err != nil {
			t.Fatal(err)
		}
		if parameters, err = parameters.Override(overrides); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(filepath.Join(dir, "input.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var state impact.State
	reader := otlpjson.Reader{
		Latency: parameters.Latency,
		Span:    func(in *impact.Input, _ otlpjson.Received) { state.Add(in, parameters) },
		Problem: func(int, string) {}, // a bad value is part of some cases
	}
	reader.Read(file)
	return state.Verdict(parameters, false)
}

func readJSON(t *testing.T, path string) (value any) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// asJSON is a value as JSON reads it back.
func asJSON(t *testing.T, value any) (read any) {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func attributesOf(verdict *impact.Verdict) map[string]any {
	attributes := map[string]any{}
	for _, one := range verdict.Attributes {
		attributes[one.Key] = one.Value
	}
	return attributes
}

func TestVectorsGiveTheExpectedRootAttributes(t *testing.T) {
	cases := casesIn(t, "../../../spec/vectors")
	if len(cases) < 60 {
		t.Fatalf("%d cases, and at least 60 are promised", len(cases))
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want := readJSON(t, filepath.Join(dir, "expected.json"))
			if got := asJSON(t, attributesOf(judged(t, dir))); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestVectorsGiveTheExpectedEvidenceSpans(t *testing.T) {
	count := 0
	for _, file := range casesIn(t, "../../../spec/vectors") {
		dir := filepath.Dir(file)
		expected := filepath.Join(dir, "evidence_spans.json")
		if _, err := os.Stat(expected); err != nil {
			continue
		}
		count++
		t.Run(filepath.Base(dir), func(t *testing.T) {
			got := []any{}
			for _, span := range judged(t, dir).EvidenceSpans() {
				got = append(got, shown(&span))
			}
			if want := readJSON(t, expected); !reflect.DeepEqual(asJSON(t, got), want) {
				t.Errorf("got  %v\nwant %v", asJSON(t, got), want)
			}
		})
	}
	if count == 0 {
		t.Fatal("no vector has evidence spans")
	}
}

// shown is an evidence span as the vectors write it.
func shown(span *impact.EvidenceSpan) map[string]any {
	status := 0
	if span.IsError {
		status = 2
	}
	attributes := map[string]any{
		"cx.evidence.layer": span.Layer, "cx.evidence.what": span.What, "cx.evidence.seconds": span.Seconds,
	}
	if span.Owner != "" {
		attributes["cx.evidence.owner"] = span.Owner
	}
	return map[string]any{
		"traceId": hex.EncodeToString(span.TraceID[:]), "spanId": hex.EncodeToString(span.SpanID[:]),
		"parentSpanId": hex.EncodeToString(span.ParentID[:]), "name": span.Name, "startTimeUnixNano": strconv.FormatUint(span.Start, 10), "endTimeUnixNano": strconv.FormatUint(span.End, 10),
		"attributes": attributes, "status": status, "statusMessage": span.Message, "service": span.Service(),
	}
}

// The worked examples stand beside the project, where they do at all.
func TestWorkedExamplesAgree(t *testing.T) {
	cases := casesIn(t, "../../../../shared/data/impact-examples")
	if len(cases) == 0 {
		t.Skip("the worked examples are not beside the project")
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want := readJSON(t, filepath.Join(dir, "expected.json")).(map[string]any)
			got := asJSON(t, attributesOf(judged(t, dir))).(map[string]any)
			delete(got, "cx.impact.summary")
			delete(got, "cx.impact.evidence")
			delete(want, "cx.impact.evidence") // as items there; the vectors hold their text
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}
