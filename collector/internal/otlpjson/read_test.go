package otlpjson

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

const (
	answers = "../../../tests/answers"
	one     = `{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a } ] \" {"}]}]}]}`
	two     = `{"resourceSpans": []}`
	place0  = "resourceSpans[0].scopeSpans[0].spans[0]"
)

// gathered is what a reader found: spans without their lists' memory, and "line: problem".
type gathered struct {
	spans    []impact.Input
	problems []string
}

func readAll(data []byte, limit int) gathered {
	var found gathered
	reader := Reader{
		Latency: func(key string) (string, bool) { return "respond", key == "lk.e2e_latency" || key == "turn.latency" },
		Span: func(in *impact.Input, _ Received) {
			copied := *in
			copied.Latencies = append([]impact.Latency(nil), in.Latencies...)
			found.spans = append(found.spans, copied)
		},
		Problem: func(line int, text string) {
			found.problems = append(found.problems, fmt.Sprintf("%d: %s", line, text))
		},
		Limit: limit,
	}
	reader.Read(bytes.NewReader(data))
	return found
}

// linesOf gives the line of every document and the problems of a stream.
func linesOf(data []byte, limit int) (starts []int, problems []string) {
	found := documents{
		limit:   limit,
		problem: func(line int, text string) { problems = append(problems, fmt.Sprintf("%d: %s", line, text)) },
		found:   func(d document) { starts = append(starts, d.line) },
	}
	found.read(bytes.NewReader(data))
	return starts, problems
}

func zipped(t testing.TB, texts ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, text := range texts {
		writer := gzip.NewWriter(&out)
		if _, err := writer.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func check(t *testing.T, name string, expected, actual any) {
	t.Helper()
	if said, wanted := fmt.Sprintf("%+v", actual), fmt.Sprintf("%+v", expected); said != wanted {
		t.Errorf("%s:\n is        %s\n should be %s", name, said, wanted)
	}
}

func TestDocumentsAreFoundWithTheirLines(t *testing.T) {
	printed := indented(t, one)
	for name, c := range map[string]struct {
		data     string
		starts   []int
		problems []string
	}{
		"one a line":             {one + "\n\n  " + two + "\r\n" + one, []int{1, 3, 4}, nil},
		"over many lines":        {printed + "\n" + printed + "\n", []int{1, 2 + strings.Count(printed, "\n")}, nil},
		"behind each other":      {one + one + " " + two + "\n", []int{1, 1, 1}, nil},
		"a byte order mark":      {"\xef\xbb\xbf" + two, []int{1}, nil},
		"UTF-16":                 {"\xfe\xff" + wide(two), []int{1}, nil},
		"a list of items":        {"[\n" + two + ",\n" + two + "\n]\n" + two, []int{1, 5}, nil},
		"no JSON":                {one + "\noops\n" + two, []int{1, 3}, []string{"2: not JSON at column 1: Expecting value"}},
		"letters, not bytes":     {`{"é": x}`, nil, []string{"1: not JSON at column 7: Expecting value"}},
		"no end, another begins": {"{\"a\": [\n" + two + "\n" + two, []int{2, 3}, []string{"1: the JSON that begins here has no end (line 2 begins another)"}},
		"cut off":                {"{\"a\": [\n1,\n", nil, []string{"1: the JSON that begins here has no end (was the file cut off?)"}},
		"no UTF-8":               {"{\"a\": \"\xff\"}", nil, []string{"1: not JSON in UTF-8 (invalid start byte at byte 7)"}},
		"too deep": {
			strings.Repeat("[", 5000) + strings.Repeat("]", 5000), nil, []string{"1: JSON nested too deeply"},
		},
		"a mistake far down": {"{\n\"a\": 1,\n \"b\": ?\n}", nil, []string{"3: not JSON at column 7: Expecting value"}},
	} {
		t.Run(name, func(t *testing.T) {
			starts, problems := linesOf([]byte(c.data), MaxDocument)
			check(t, "lines", c.starts, starts)
			check(t, "problems", c.problems, problems)
		})
	}
}

func TestMistakesAreToldInTheWordsOfPythonsJSON(t *testing.T) {
	for text, told := range map[string]string{
		`{`:              "column 2: Expecting property name enclosed in double quotes",
		`{"a"`:           "column 5: Expecting ':' delimiter",
		`{"a":1 "b"`:     "column 8: Expecting ',' delimiter",
		`[1 2]`:          "column 4: Expecting ',' delimiter",
		`"abc`:           "column 1: Unterminated string",
		`"a` + "\x01\"":  "column 3: Invalid control character at",
		`"\x"`:           `column 2: Invalid \escape`,
		`"\u12"`:         `column 3: Invalid \uXXXX escape`,
		`"\ud800\u12zz"`: `column 9: Invalid \uXXXX escape`,
		`-`:              "column 1: Expecting value",
	} {
		_, failed := parseAll(text)
		if failed == nil {
			t.Errorf("%s: read", text)
			continue
		}
		if _, said := failed.told(1, text); !strings.Contains(said, told) {
			t.Errorf("%s: %q, should be %q", text, said, told)
		}
	}
}

func parseAll(text string) (any, *failure) {
	p := parser{text: text}
	value, _, failed := p.value(0)
	return value, failed
}

func TestNumbersAndWordsOfPythonsJSON(t *testing.T) {
	for text, expected := range map[string]any{
		"-0": number("0"), "-12": number("-12"), "1.50": 1.5, "1e400": infinity, "-Infinity": -infinity,
		strings.Repeat("9", 4301): infinity, "-" + strings.Repeat("9", 4301): -infinity,
		"01": number("0"), "1.": number("1"), "2e+": number("2"), "null": nil, "true": true,
		`"\ud83d\ude00"`: "\U0001F600", `"\ud83d"`: "\xed\xa0\xbd", `"\/\n"`: "/\n",
	} {
		value, failed := parseAll(text)
		if failed != nil || value != expected {
			t.Errorf("%s: %#v, %v, should be %#v", text, value, failed, expected)
		}
	}
}

func TestGzipIsSeenByItsFirstBytes(t *testing.T) {
	whole := zipped(t, one+"\n", two+"\n")
	for name, c := range map[string]struct {
		data     []byte
		starts   []int
		problems []string
	}{
		"members behind each other": {whole, []int{1, 2}, nil},
		"zeros behind them":         {append(bytes.Clone(whole), 0, 0), []int{1, 2}, nil},
		"something else behind them": {
			append(bytes.Clone(whole), "junk"...), []int{1, 2},
			[]string{"3: cannot be read from here on: Not a gzipped file (b'ju')"},
		},
		"cut off": {
			whole[:len(whole)-5], []int{1, 2},
			[]string{"3: cannot be read from here on: Compressed file ended before the end-of-stream marker was reached"},
		},
	} {
		starts, problems := linesOf(c.data, MaxDocument)
		check(t, name+", lines", c.starts, starts)
		check(t, name+", problems", c.problems, problems)
	}
}

func TestADocumentOverTheLimitIsLeftOut(t *testing.T) {
	long := `{"a": "` + strings.Repeat("x", 2500) + `"}`
	starts, problems := linesOf([]byte(two+"\n"+long+"\n"+two), 1000)
	check(t, "lines", []int{1, 3}, starts)
	check(t, "problems", []string{"2: a line longer than 0 MiB, left out"}, problems)
	_, problems = linesOf([]byte("{\"a\": [\n"+strings.Repeat("1,\n", 400)+"1]}"), 1000)
	check(t, "first problem", "1: the JSON that begins here is longer than 0 MiB, left out", problems[0])
}

func TestALongLineIsReadInParts(t *testing.T) {
	long := `{"resourceSpans": [], "a": "` + strings.Repeat("x", 300_000) + `"}`
	starts, problems := linesOf([]byte(long+"\n"+two), MaxDocument)
	check(t, "lines", []int{1, 2}, starts)
	check(t, "problems", []string(nil), problems)
}

func TestAnswersOfJaegerAndTempoGiveTheSameSpans(t *testing.T) {
	var expected []impact.Input
	for _, name := range []string{"jaeger_api_v3_traces", "jaeger_api_traces", "tempo_api_traces", "tempo_api_v2_traces"} {
		data, err := os.ReadFile(filepath.Join(answers, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		found := readAll(data, 0)
		check(t, name, []string(nil), found.problems)
		if expected == nil {
			expected = found.spans
			check(t, "spans", 2, len(expected))
			check(t, "layer", "call", expected[0].Values[impact.AttrLayer].String)
		}
		check(t, name, expected, found.spans)
	}
}

func spanDocument(fields string) []byte {
	const good = `"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "name": "talk",` +
		`"startTimeUnixNano": "1000", "endTimeUnixNano": 2000`
	return []byte(`{"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": [{` + good + "," + fields + `}]}]}]}`)
}

func TestABadFieldIsNamedAndLeftEmpty(t *testing.T) {
	for field, told := range map[string]string{
		`"spanId": "eee19b7ec3c1b17"`: "spanId 'eee19b7ec3c1b17' where 16 hex digits, not all 0, belong",
		`"spanId": null`:              "spanId none where 16 hex digits, not all 0, belong",
		`"parentSpanId": "abc"`:       "parentSpanId 'abc' where 16 hex digits, not all 0, belong",
		`"startTimeUnixNano": true`:   "startTimeUnixNano True where ns since 1970 belong",
		`"endTimeUnixNano": -5`:       "endTimeUnixNano -5 where ns since 1970 belong",
		`"kind": "SPAN_KIND_PHONE"`:   "kind 'SPAN_KIND_PHONE' that OTLP does not have (taken as unset)",
		`"status": {"code": 3}`:       "status.code 3 that OTLP does not have (taken as unset)",
		`"status": 7`:                 "status that is no object",
		`"name": 7`:                   "name that is no string",
		`"attributes": 7`:             "attributes that are no list",
		`"attributes": [{"key": 7}]`:  "an attribute without a key",
		`"attributes": [{"key": "k", "value": {"intValue": "7x"}}]`:          "attribute 'k' has intValue '7x'",
		`"attributes": [{"key": "k", "value": {"arrayValue": []}}]`:          "attribute 'k' has arrayValue that is a list",
		`"attributes": [{"key": "k", "value": {"foo": 1}}]`:                  "attribute 'k' has a value of an unknown kind: 'foo'",
		`"attributes": [{"key": "it's\ud83d", "value": {"boolValue": 1.0}}]`: `attribute "it's\ud83d" has boolValue 1.0`,
	} {
		found := readAll(spanDocument(field), 0)
		check(t, field, []string{"1: " + place0 + ": " + told}, found.problems)
		check(t, field+", spans", 1, len(found.spans))
	}
	found := readAll(spanDocument(`"traceId": "abc"`), 0)
	check(t, "spans without a trace", 0, len(found.spans))
	check(t, "the last problem", "1: "+place0+": the span is left out, it belongs to no trace", found.problems[1])
}

func TestValuesKeepTheirKind(t *testing.T) {
	for value, expected := range map[string]impact.Value{
		`{"stringValue": "7"}`:         {Kind: impact.KindString, String: "7"},
		`{"bool_value": true}`:         {Kind: impact.KindBool, Bool: true},
		`{"intValue": "-7"}`:           {Kind: impact.KindInt, Int: -7},
		`{"intValue": 7.0}`:            {Kind: impact.KindInt, Int: 7},
		`{"doubleValue": 7}`:           {Kind: impact.KindDouble, Double: 7},
		`{"doubleValue": "-Infinity"}`: {Kind: impact.KindDouble, Double: -infinity},
		`{"bytesValue": "AP8="}`:       {Kind: impact.KindOther},
		`{"kvlistValue": {}}`:          {Kind: impact.KindOther},
		`{}`:                           {Kind: impact.KindOther},
		`null`:                         {Kind: impact.KindOther},
		`{"intValue": null}`:           {Kind: impact.KindOther},
		`{"intValue": true}`:           {Kind: impact.KindDouble, Double: math.NaN()},
		`{"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}, null]}}`: {
			Kind: impact.KindStrings, Strings: []string{"a"},
		},
	} {
		found := readAll(spanDocument(`"attributes": [{"key": "cx.wait.seconds", "value": `+value+`}]`), 0)
		check(t, value, expected, found.spans[0].Values[impact.AttrWaitSeconds])
	}
}

func TestOfAKeyGivenTwiceTheLastCounts(t *testing.T) {
	pair := func(key, value string) string { return `{"key": "` + key + `", "value": {"intValue": ` + value + `}}` }
	found := readAll(spanDocument(`"attributes": [`+strings.Join([]string{
		pair("cx.wait.seconds", "1"), pair("lk.e2e_latency", "1"), pair("turn.latency", "5"),
		pair("cx.wait.seconds", "2"), pair("lk.e2e_latency", "2"),
	}, ",")+`]`), 0)
	in := found.spans[0]
	check(t, "wait", int64(2), in.Values[impact.AttrWaitSeconds].Int)
	check(t, "latencies", []int64{2, 5}, []int64{in.Latencies[0].Value.Int, in.Latencies[1].Value.Int})
}

func TestOddPartsOfJaegersJSONAreNamedAndTheRestIsRead(t *testing.T) {
	found := readAll([]byte(`{"data": [{"spans": [{"traceID": "1f", "spanID": "2a", "parentSpanID": "3b",
		"operationName": "talk", "startTime": "soon", "duration": 2, "tags": ["x"], "logs": [7]}, 7],
		"processes": {}}, 8]}`), 0)
	first := "1: data[0] read as OTLP[0].scopeSpans[0].spans[0]"
	check(t, "problems", []string{
		first + ": startTimeUnixNano 'soon' where ns since 1970 belong",
		first + ": endTimeUnixNano none where ns since 1970 belong",
		first + ": an attribute without a key",
		"1: data[0] read as OTLP[1].scopeSpans[0].spans[0] is no object, left out",
		"1: data[1] read as OTLP[0] is no object, left out",
	}, found.problems)
	check(t, "ids", "0000000000000000000000000000001f 000000000000002a 000000000000003b",
		fmt.Sprintf("%x %x %x", found.spans[0].TraceID, found.spans[0].SpanID, found.spans[0].ParentID))
}

func TestWhatIsNoTraceIsSaidToBeNone(t *testing.T) {
	for text, told := range map[string]string{
		"7":                     "a JSON int where a trace was expected",
		`[[[[[[[[[[]]]]]]]]]]`:  "a JSON list where a trace was expected",
		`{"a": 1}`:              "a JSON object without resourceSpans, batches, trace, result or data (its keys: 'a')",
		`{}`:                    "a JSON object without resourceSpans, batches, trace, result or data (its keys: none)",
		`{"error": {"msg": 3}}`: "a server's error answer: 3",
	} {
		check(t, text, []string{"1: " + told + "; left out"}, readAll([]byte(text), 0).problems)
	}
}

func TestFloatsAndStringsArePrintedAsPythonPrintsThem(t *testing.T) {
	for value, expected := range map[float64]string{
		54: "54.0", 0: "0.0", 1e-5: "1e-05", 0.0001: "0.0001", 1e16: "1e+16", 123456789012345680: "1.2345678901234568e+17",
		9999999999999998: "9999999999999998.0", 0.1: "0.1", -2.5: "-2.5", 5e-324: "5e-324", infinity: "inf",
	} {
		check(t, expected, expected, string(AppendFloat(nil, value)))
	}
	check(t, "a string", `"\"\\\/\n\u0001\u007f\u00e9\ud83d\ude00\ud83d"`,
		strings.Replace(string(AppendString(nil, "\"\\/\n\x01\x7fé\U0001F600\xed\xa0\xbd")), "/", `\/`, 1))
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(answers, "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no recorded answers", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(zipped(f, string(data)))
	}
	f.Add(spanDocument(`"attributes": [{"key": "cx.wait.seconds", "value": {"arrayValue": {"values": [{}]}}}]`))
	f.Add([]byte("[\n" + two + ",\n" + two))
	f.Fuzz(func(t *testing.T, data []byte) {
		found := readAll(data, 1<<20)
		for _, in := range found.spans {
			if in.TraceID == [16]byte{} {
				t.Error("a span without a trace id")
			}
		}
		for _, text := range found.problems {
			if strings.HasPrefix(text, "0:") || strings.HasSuffix(text, ": ") {
				t.Errorf("a problem without a line or words: %q", text)
			}
		}
	})
}

func indented(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// wide gives ASCII in UTF-16, the high byte first.
func wide(text string) string {
	var out strings.Builder
	for _, letter := range []byte(text) {
		out.WriteByte(0)
		out.WriteByte(letter)
	}
	return out.String()
}
