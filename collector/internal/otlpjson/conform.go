package otlpjson

import "math"

// maxKept is the nesting that is kept: readers of protobuf stop at 100 messages, so nobody could read what lies
// deeper.
const maxKept = 200

// idBytes are the lengths of the fields that hold ids.
var idBytes = map[string]int{"traceId": 16, "spanId": 8, "parentSpanId": 8}

// camel gives the names that OTLP/JSON demands by those that protobuf's own mapping accepts too. What is not among
// them was unknown to us and stays as it came.
var camel = map[string]string{
	"trace_id": "traceId", "span_id": "spanId", "parent_span_id": "parentSpanId", "trace_state": "traceState",
	"start_time_unix_nano": "startTimeUnixNano", "end_time_unix_nano": "endTimeUnixNano", "time_unix_nano": "timeUnixNano",
	"dropped_attributes_count": "droppedAttributesCount", "dropped_events_count": "droppedEventsCount",
	"dropped_links_count": "droppedLinksCount", "schema_url": "schemaUrl", "scope_spans": "scopeSpans",
	"string_value": "stringValue", "bool_value": "boolValue", "int_value": "intValue", "double_value": "doubleValue",
	"bytes_value": "bytesValue", "array_value": "arrayValue", "kvlist_value": "kvlistValue",
}

// conform gives a deep copy in the form that OTLP/JSON demands: ids in hex, enums as numbers, names of fields in
// lowerCamelCase. Fields that OTLP does not have, and values that could not be read, stay as they are.
func conform(node any, depth int) any {
	if depth > maxKept {
		return nil
	}
	switch node := node.(type) {
	case []any:
		out := make([]any, len(node))
		for i, item := range node {
			out[i] = conform(item, depth+1)
		}
		return out
	case *object:
		out := new(object)
		for i, key := range node.keys {
			name, value := key, node.values[i]
			if other, ok := camel[key]; ok {
				name = other
			}
			// Of a field given by both its names the one that is read stays.
			if out.get(name) == nil || key == name && value != nil {
				out.set(name, conformField(name, value, depth))
			}
		}
		return out
	case float64:
		return writeDouble(node)
	}
	return node
}

func conformField(name string, value any, depth int) any {
	switch text := value.(type) {
	case string:
		switch {
		case idBytes[name] > 0:
			id := make([]byte, idBytes[name])
			if readID(text, id) {
				return idText(id)
			}
		case name == "kind":
			return numberOf(text, spanKinds)
		case name == "code":
			return numberOf(text, statusCodes)
		}
		return text
	case number:
		if name == "intValue" {
			return string(text)
		}
	}
	return conform(value, depth+1)
}

// numberOf gives the number of an enum's name, the text itself if it is none.
func numberOf(text string, names []string) any {
	for i, name := range names {
		if text == name {
			return number([]byte{'0' + byte(i)})
		}
	}
	return text
}

// writeDouble gives a number as OTLP/JSON has it: what JSON has no number for is a text.
func writeDouble(value float64) any {
	switch {
	case math.IsNaN(value):
		return "NaN"
	case math.IsInf(value, 1):
		return "Infinity"
	case math.IsInf(value, -1):
		return "-Infinity"
	}
	return value
}

// appendJSON appends a value as Python's json.dumps writes it.
func appendJSON(out []byte, value any) []byte {
	switch value := value.(type) {
	case nil:
		return append(out, "null"...)
	case bool:
		if value {
			return append(out, "true"...)
		}
		return append(out, "false"...)
	case number:
		return append(out, value...)
	case float64:
		return AppendFloat(out, value)
	case string:
		return AppendString(out, value)
	case []any:
		out = append(out, '[')
		for i, item := range value {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = appendJSON(out, item)
		}
		return append(out, ']')
	case *object:
		out = append(out, '{')
		for i, key := range value.keys {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(AppendString(out, key), ": "...)
			out = appendJSON(out, value.values[i])
		}
		return append(out, '}')
	}
	return out
}
