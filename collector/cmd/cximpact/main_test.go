package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const root = "../../.."

type ran struct {
	status   int
	out, err string
}

func runWith(stdin string, args ...string) ran {
	var out, err bytes.Buffer
	status := run(args, strings.NewReader(stdin), &out, &err)
	return ran{status, out.String(), err.String()}
}

// call is a request with two minutes of talk, of which the carrier loses a tenth on the way to the agent.
func call(trace string, more ...string) string {
	const start, end = "1760000000000000000", "1760000120000000000"
	span := func(id, name string, attributes ...string) string {
		pairs := make([]string, 0, len(attributes)/2)
		for i := 0; i < len(attributes); i += 2 {
			pairs = append(pairs, fmt.Sprintf(`{"key": %q, "value": {"stringValue": %q}}`, attributes[i], attributes[i+1]))
		}
		return fmt.Sprintf(`{"traceId": %q, "spanId": %q, "name": %q, "startTimeUnixNano": %q, "endTimeUnixNano": %q, `+
			`"attributes": [%s]}`, trace, id, name, start, end, strings.Join(pairs, ", "))
	}
	spans := append([]string{
		span("00000000000000a1", "call inbound", "cx.layer", "call", "cx.call.outcome", "completed"),
		span("00000000000000a2", "talk", "cx.layer", "ccaas", "cx.activity", "talk"),
		span("00000000000000a3", "carrier leg", "cx.layer", "carrier", "cx.activity", "converse",
			"cx.owner", "Zoë", "cx.media.to_agent.loss_pct", "10*24"),
	}, more...)
	return `{"resourceSpans": [{"scopeSpans": [{"spans": [` + strings.Join(spans, ", ") + `]}]}]}`
}

var (
	first  = strings.Repeat("0", 31) + "1"
	second = strings.Repeat("0", 31) + "2"
)

func check(t *testing.T, name string, expected, actual any) {
	t.Helper()
	if !reflect.DeepEqual(expected, actual) {
		t.Errorf("%s:\n is        %v\n should be %v", name, actual, expected)
	}
}

func TestVectors(t *testing.T) {
	inputs, err := filepath.Glob(root + "/spec/vectors/*/input.json")
	if err != nil || len(inputs) < 60 {
		t.Fatalf("%d vectors found: %v", len(inputs), err)
	}
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			args := []string{input}
			if parameters := filepath.Join(folder, "parameters.json"); exists(parameters) {
				args = append(args, "--parameters", parameters)
			}
			found := runWith("", args...)
			var line struct {
				Attributes map[string]any `json:"attributes"`
			}
			if err := json.Unmarshal([]byte(found.out), &line); err != nil {
				t.Fatal(err, found)
			}
			var expected map[string]any
			data, err := os.ReadFile(filepath.Join(folder, "expected.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &expected); err != nil {
				t.Fatal(err)
			}
			for name := range expected {
				check(t, name, expected[name], line.Attributes[name])
			}
			check(t, "number of attributes", len(expected), len(line.Attributes))
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestOneLineATraceInTheOrderOfTheirFirstSpans(t *testing.T) {
	found := runWith(call(second)+"\n"+call(first), "-")
	lines := strings.Split(strings.TrimSpace(found.out), "\n")
	check(t, "lines", 2, len(lines))
	for i, trace := range []string{second, first} {
		const begin = `{"trace_id": "%s", "attributes": {"cx.impact.charge.carrier": 32.862, "cx.impact.lost_seconds": 32.862, ` +
			`"cx.impact.layers": ["carrier"], "cx.impact.layer": "carrier", "cx.impact.share": 1.0, "cx.impact.owner": "Zo\u00eb", `
		if expected := fmt.Sprintf(begin, trace); !strings.HasPrefix(lines[i], expected) {
			t.Errorf("line %d:\n is        %s\n should be %s", i, lines[i], expected)
		}
	}
	check(t, "status", ran{0, found.out, ""}, found)
}

func TestTracesOverFilesAreBroughtTogether(t *testing.T) {
	folder := t.TempDir()
	plain, packed := filepath.Join(folder, "a.json"), filepath.Join(folder, "b.json.gz")
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	if _, err := writer.Write([]byte(call(first))); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{plain: []byte(call(second)), packed: zipped.Bytes()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apart := runWith(call(second)+"\n"+call(first), "-")
	check(t, "files and standard input", apart, runWith(call(second), "--json", plain, "-", packed))
}

func TestBadLinesAreNamedAndTheRestIsJudged(t *testing.T) {
	flood := call(second, strings.Split(strings.TrimSuffix(strings.Repeat("null,", 30), ","), ",")...)
	found := runWith("oops\n"+flood+"\noops\n"+call(first), "-")
	check(t, "status", 0, found.status)
	check(t, "lines", 2, strings.Count(found.out, "\n"))
	lines := strings.Split(strings.TrimSpace(found.err), "\n")
	check(t, "first", "-, line 1: not JSON at column 1: Expecting value", lines[0])
	check(t, "named", 1+21+1+2, len(lines))
	check(t, "end", []string{
		"-, line 3: not JSON at column 1: Expecting value",
		"(9 more in lines named above)",
		"32 thing(s) could not be read; the rest was judged.",
	}, lines[len(lines)-3:])
}

func TestStatus1WhereNothingCouldBeJudged(t *testing.T) {
	for _, data := range []string{"", `{"resourceSpans": []}`, `{"trace": {}}`} {
		check(t, data, ran{1, "", "Nothing could be judged.\n"}, runWith(data, "-"))
	}
	const nothing = "-, line 1: a JSON NoneType where a trace was expected; left out\n" +
		"1 thing(s) could not be read.\nNothing could be judged.\n"
	check(t, "no document", ran{1, "", nothing}, runWith("null", "-"))
	found := runWith(`{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "`+first+`"}]}]}]}`, "-")
	check(t, "status", 1, found.status)
	check(t, "lines", 1, strings.Count(found.out, "\n"))
	if !strings.Contains(found.err, "trace "+first+": no call in it (no span has cx.layer and a time)\n") {
		t.Error(found.err)
	}
}

func TestWrongUsageIsStatus2(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(wrong, []byte("severity.minr: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for told, args := range map[string][]string{
		"Missing argument 'FILE...'.":                                      {},
		"Invalid value for 'FILE...': File 'nowhere.json' does not exist.": {"nowhere.json"},
		"Invalid value for 'FILE...': File '/' is a directory.":            {"-", "/"},
		"No such option '--nothing'.":                                      {"--nothing", "-"},
		"Option '--parameters' requires an argument.":                      {"-", "--parameters"},
		"impact parameter severity.minr: unknown; there is severity.":      {"--parameters=" + wrong, "-"},
		"Invalid value for '--parameters': File 'no.yaml' does not exist.": {"--parameters", "no.yaml", "-"},
	} {
		found := runWith(call(first), args...)
		check(t, told, ran{2, "", found.err}, found)
		if !strings.Contains(found.err, told) {
			t.Errorf("%q, should say %q", found.err, told)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("it is full") }

func TestStatus74WhereOutputCannotBeWritten(t *testing.T) {
	for _, form := range []string{"--json", "--otlp"} {
		var told bytes.Buffer
		status := run([]string{form, "-"}, strings.NewReader(call(first)), full{}, &told)
		check(t, form, ran{74, "", "Error: standard output could not be written: it is full\n"}, ran{status, "", told.String()})
	}
}

func TestHelp(t *testing.T) {
	for _, option := range []string{"--help", "-h"} {
		check(t, option, ran{0, help, ""}, runWith("", option))
	}
}
