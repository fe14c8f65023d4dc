package otlpjson

import (
	"math/big"
	"strconv"
	"strings"
)

// Jaeger's own JSON (/api/traces, the download of its UI) becomes OTLP/JSON. What Jaeger keeps in tags goes back to
// its place in OTLP, the way Jaeger v2.20 put it there. Lost on its way and not to be had back: nanoseconds (times
// are whole microseconds), schema URLs, flags, dropped counts, links' attributes.

var (
	jaegerSpanKinds = map[string]number{"internal": "1", "server": "2", "client": "3", "producer": "4", "consumer": "5"}
	jaegerStatus    = map[string]number{"OK": "1", "ERROR": "2"}
	jaegerKinds     = map[string]string{
		"string": "stringValue", "bool": "boolValue", "int64": "intValue", "float64": "doubleValue", "binary": "bytesValue",
	}
	// Tags that are no attributes of the span but fields of OTLP (library: Jaeger before 1.50).
	jaegerScopeTags = map[string]string{
		"otel.scope.name": "name", "otel.scope.version": "version",
		"otel.library.name": "name", "otel.library.version": "version",
	}
)

// jaegerGroups gives the ResourceSpans of one trace of Jaeger's, neighbours of one process and scope in one group.
// A part that is no object stays where it is, so that whoever reads the result names it.
func jaegerGroups(trace any) []any {
	fields, ok := trace.(*object)
	if !ok {
		return []any{trace}
	}
	spans, ok := fields.get("spans").([]any)
	if !ok {
		return []any{trace}
	}
	processes, _ := fields.get("processes").(*object)
	var out []any
	var scoped, lastScope *object
	var lastProcess any
	for _, item := range spans {
		fields, ok := item.(*object)
		if !ok {
			out = append(out, objectOf("scopeSpans", []any{objectOf("spans", []any{item})}))
			scoped = nil
			continue
		}
		span, scope := jaegerSpan(fields)
		process := jaegerProcess(fields, processes)
		if scoped == nil || !equal(lastProcess, process) || !equalObjects(lastScope, scope) {
			lastProcess, lastScope = process, scope
			scoped = objectOf("scope", scope, "spans", []any(nil))
			out = append(out, objectOf("resource", jaegerResource(process), "scopeSpans", []any{scoped}))
		}
		scoped.set("spans", append(scoped.get("spans").([]any), span))
	}
	return out
}

func jaegerProcess(span, processes *object) any {
	if process, ok := span.get("process").(*object); ok {
		return process
	}
	if id, ok := span.get("processID").(string); ok && processes != nil {
		return processes.get(id)
	}
	return nil
}

func jaegerResource(process any) *object {
	fields, ok := process.(*object)
	if !ok {
		return objectOf("attributes", []any{})
	}
	attributes := jaegerAttributes(listOf(fields.get("tags")))
	if name, ok := fields.get("serviceName").(string); ok {
		service := objectOf("key", "service.name", "value", objectOf("stringValue", name))
		attributes = append([]any{service}, attributes...)
	}
	return objectOf("attributes", attributes)
}

// jaegerSpan gives the span in OTLP/JSON, and its scope.
func jaegerSpan(item *object) (span, scope *object) {
	span, scope = new(object), new(object)
	status := new(object)
	span.set("traceId", jaegerID(item.get("traceID"), 32))
	span.set("spanId", jaegerID(item.get("spanID"), 16))
	var tags []any
	for _, tag := range listOf(item.get("tags")) {
		if !moveTag(tag, span, scope, status) {
			tags = append(tags, tag)
		}
	}
	setParentAndLinks(item, span)
	span.set("name", item.get("operationName"))
	start, end := jaegerTimes(item)
	span.set("startTimeUnixNano", start)
	span.set("endTimeUnixNano", end)
	span.set("attributes", jaegerAttributes(tags))
	if logs := listOf(item.get("logs")); len(logs) > 0 {
		events := make([]any, len(logs))
		for i, log := range logs {
			events[i] = jaegerEvent(log)
		}
		span.set("events", events)
	}
	if len(status.keys) > 0 {
		span.set("status", status)
	}
	return span, scope
}

// moveTag puts a tag that is no attribute to its place in OTLP; false for all others.
func moveTag(tag any, span, scope, status *object) bool {
	fields, ok := tag.(*object)
	if !ok {
		return false
	}
	key, ok := fields.get("key").(string)
	if !ok {
		return false
	}
	value, ok := fields.get("value").(string)
	if !ok {
		// "error" is Jaeger's own copy of the status.
		return key == "error" && fields.get("value") == true
	}
	switch key {
	case "span.kind":
		kind, ok := jaegerSpanKinds[value]
		if ok {
			span.set("kind", kind)
		}
		return ok
	case "otel.status_code":
		code, ok := jaegerStatus[value]
		if ok {
			status.set("code", code)
		}
		return ok
	case "otel.status_description":
		status.set("message", value)
		return true
	case "w3c.tracestate":
		span.set("traceState", value)
		return true
	}
	name, ok := jaegerScopeTags[key]
	if ok {
		scope.set(name, value)
	}
	return ok
}

// setParentAndLinks takes the first reference to a parent in the span's own trace, else what older Jaegers have.
func setParentAndLinks(item, span *object) {
	var links []any
	for _, reference := range listOf(item.get("references")) {
		fields, ok := reference.(*object)
		if !ok {
			continue
		}
		traceID, spanID := jaegerID(fields.get("traceID"), 32), jaegerID(fields.get("spanID"), 16)
		isParent := fields.get("refType") == "CHILD_OF" && equal(traceID, span.get("traceId"))
		if isParent && !span.has("parentSpanId") {
			span.set("parentSpanId", spanID)
		} else {
			links = append(links, objectOf("traceId", traceID, "spanId", spanID))
		}
	}
	if parent := item.get("parentSpanID"); !span.has("parentSpanId") && isTrue(parent) {
		span.set("parentSpanId", jaegerID(parent, 16))
	}
	if len(links) > 0 {
		span.set("links", links)
	}
}

// jaegerTimes gives start and end in ns, of start and duration in µs.
func jaegerTimes(item *object) (start, end any) {
	begun, lasted := item.get("startTime"), item.get("duration")
	if !isInteger(begun) || !isInteger(lasted) {
		return begun, nil
	}
	first, _ := integerOf(begun)
	second, _ := integerOf(lasted)
	const small = 1 << 52 // in µs, of which the sum of two in ns fits into 64 bits
	if max(first.size, second.size) < small && !first.negative && !second.negative {
		return strconv.FormatUint(first.size*1000, 10), strconv.FormatUint((first.size+second.size)*1000, 10)
	}
	thousand := big.NewInt(1000)
	low, length := bigOf(begun), bigOf(lasted)
	return new(big.Int).Mul(low, thousand).String(), low.Add(low, length).Mul(low, thousand).String()
}

func jaegerEvent(log any) any {
	fields, ok := log.(*object)
	if !ok {
		return log
	}
	moment := new(big.Int)
	if micros := fields.get("timestamp"); isInteger(micros) {
		moment.Mul(bigOf(micros), big.NewInt(1000))
	}
	event := objectOf("timeUnixNano", moment.String())
	var rest []any
	for _, field := range listOf(fields.get("fields")) {
		one, ok := field.(*object)
		if ok && one.get("key") == "event" && !event.has("name") {
			event.set("name", one.get("value"))
		} else {
			rest = append(rest, field)
		}
	}
	event.set("attributes", jaegerAttributes(rest))
	return event
}

// jaegerAttributes gives OTLP attributes of Jaeger's tags; a tag that is no object stays, to be named by the reader.
func jaegerAttributes(tags []any) []any {
	out := []any{}
	for _, tag := range tags {
		fields, ok := tag.(*object)
		if !ok {
			out = append(out, tag)
			continue
		}
		name, _ := fields.get("type").(string)
		kind, ok := jaegerKinds[lower(name)]
		if !ok {
			kind = "stringValue"
		}
		value := objectOf(kind, fields.get("value"))
		if text, isText := fields.get("value").(string); ok && kind == "stringValue" && isText {
			if array := jaegerArray(text); array != nil {
				value = array
			}
		}
		out = append(out, objectOf("key", fields.get("key"), "value", value))
	}
	return out
}

// jaegerArray gives the array that Jaeger wrote as JSON text, nil where it is none of strings, numbers and bools.
func jaegerArray(text string) *object {
	if !strings.HasPrefix(text, "[") {
		return nil
	}
	p := parser{text: text}
	found, end, failed := p.value(0)
	if failed != nil || p.blanks(end) != len(text) {
		return nil
	}
	items := found.([]any)
	values := make([]any, 0, len(items))
	for _, item := range items {
		kind := ""
		switch item.(type) {
		case bool:
			kind = "boolValue"
		case string:
			kind = "stringValue"
		case number:
			kind = "intValue"
		case float64:
			kind = "doubleValue"
		default:
			return nil
		}
		values = append(values, objectOf(kind, item))
	}
	return objectOf("arrayValue", objectOf("values", values))
}

// jaegerID completes an id: older Jaegers leave leading zeros out.
func jaegerID(value any, digits int) any {
	text, ok := value.(string)
	if count := letters(text); ok && count > 0 && count < digits {
		return strings.Repeat("0", digits-count) + text
	}
	return value
}

func listOf(value any) []any {
	list, _ := value.([]any)
	return list
}

// isTrue tells whether Python would take a value for true.
func isTrue(value any) bool {
	switch value := value.(type) {
	case nil:
		return false
	case bool:
		return value
	case number:
		return value != "0"
	case float64:
		return value != 0
	case string:
		return value != ""
	case []any:
		return len(value) > 0
	}
	return len(value.(*object).keys) > 0
}

// lower makes ASCII letters small, and no other: some have a small letter of ASCII.
func lower(text string) string {
	return strings.Map(func(letter rune) rune {
		if letter >= 'A' && letter <= 'Z' {
			return letter + 'a' - 'A'
		}
		return letter
	}, text)
}
