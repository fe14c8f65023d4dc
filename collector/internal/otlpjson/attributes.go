package otlpjson

import (
	"fmt"
	"math"
	"strings"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

// maxDepth is the nesting of lists and maps in one value; protobuf's own readers stop at 100 messages.
const maxDepth = 32

// unreadable is a value that is not of its kind. It is no string and no bool, and as a number out of every range,
// so that the model counts it as skipped wherever it wanted to read it.
var unreadable = impact.Value{Kind: impact.KindDouble, Double: math.NaN()}

// kinds are the fields of an AnyValue. Each reader gives false for what is not of its kind.
var kinds map[string]func(value any, depth int, bad *[]string) (impact.Value, bool)

func init() { // not a literal: lists hold values again
	kinds = map[string]func(any, int, *[]string) (impact.Value, bool){
		"stringValue": readString, "string_value": readString,
		"boolValue": readBool, "bool_value": readBool,
		"intValue": readInt, "int_value": readInt,
		"doubleValue": readDouble, "double_value": readDouble,
		"bytesValue": readBytes, "bytes_value": readBytes,
		"arrayValue": readList, "array_value": readList,
		"kvlistValue": readMap, "kvlist_value": readMap,
	}
}

// readValue reads an AnyValue; what was wrong is added to bad.
func readValue(node any, depth int, bad *[]string) impact.Value {
	if node == nil {
		return impact.Value{Kind: impact.KindOther}
	}
	fields, ok := node.(*object)
	if !ok || depth > maxDepth {
		text := "a value that is no object"
		if depth > maxDepth {
			text = fmt.Sprintf("a value nested over %d deep", maxDepth)
		}
		*bad = append(*bad, text)
		return unreadable
	}
	known := false
	for i, kind := range fields.keys {
		read, ok := kinds[kind]
		known = known || ok
		if !ok || fields.values[i] == nil {
			continue
		}
		value, ok := read(fields.values[i], depth, bad)
		if !ok {
			*bad = append(*bad, kind+" "+short(fields.values[i]))
			return unreadable
		}
		return value
	}
	if len(fields.keys) > 0 && !known {
		*bad = append(*bad, "a value of an unknown kind: "+short(fields.keys[0]))
	}
	return impact.Value{Kind: impact.KindOther}
}

func readString(value any, _ int, _ *[]string) (impact.Value, bool) {
	text, ok := value.(string)
	return impact.Value{Kind: impact.KindString, String: text}, ok
}

func readBool(value any, _ int, _ *[]string) (impact.Value, bool) {
	truth, ok := value.(bool)
	return impact.Value{Kind: impact.KindBool, Bool: truth}, ok
}

func readInt(value any, _ int, _ *[]string) (impact.Value, bool) {
	whole, ok := integerOf(value)
	if !ok {
		return unreadable, false
	}
	fitting, ok := whole.int64()
	return impact.Value{Kind: impact.KindInt, Int: fitting}, ok
}

func readDouble(value any, _ int, _ *[]string) (impact.Value, bool) {
	double, ok := doubleOf(value)
	return impact.Value{Kind: impact.KindDouble, Double: double}, ok
}

func readBytes(value any, _ int, _ *[]string) (impact.Value, bool) {
	text, ok := value.(string)
	if ok {
		_, ok = bytesOf(text)
	}
	return impact.Value{Kind: impact.KindOther}, ok
}

func readList(value any, depth int, bad *[]string) (impact.Value, bool) {
	items, ok := valuesOf(value)
	if !ok {
		return unreadable, false
	}
	list := impact.Value{Kind: impact.KindStrings}
	for _, item := range items {
		if one := readValue(item, depth+1, bad); one.Kind == impact.KindString {
			list.Strings = append(list.Strings, strings.Clone(one.String))
		}
	}
	return list, true
}

func readMap(value any, depth int, bad *[]string) (impact.Value, bool) {
	items, ok := valuesOf(value)
	if ok {
		readAttributes(items, depth+1, bad, func(string, impact.Value) {})
	}
	return impact.Value{Kind: impact.KindOther}, ok
}

// valuesOf gives the items of an ArrayValue or a KeyValueList, none where the field is absent.
func valuesOf(value any) ([]any, bool) {
	fields, ok := value.(*object)
	if !ok {
		return nil, false
	}
	if !fields.has("values") {
		return nil, true
	}
	items, ok := fields.get("values").([]any)
	return items, ok
}

// readAttributes reads a list of pairs, each told in turn: of a key told twice the last counts. An item without a
// key is added to bad.
func readAttributes(items any, depth int, bad *[]string, tell func(key string, value impact.Value)) {
	list, ok := items.([]any)
	if !ok {
		if items != nil {
			*bad = append(*bad, "attributes that are no list")
		}
		return
	}
	for _, item := range list {
		fields, ok := item.(*object)
		if !ok {
			fields = new(object)
		}
		key, ok := fields.get("key").(string)
		if !ok {
			*bad = append(*bad, "an attribute without a key")
			continue
		}
		count := len(*bad)
		tell(key, readValue(fields.get("value"), depth, bad))
		if depth == 0 {
			for i := count; i < len(*bad); i++ {
				(*bad)[i] = "attribute " + short(key) + " has " + (*bad)[i]
			}
		}
	}
}

// short is a value as a problem names it.
func short(value any) string {
	switch value.(type) {
	case []any, *object:
		return "that is a " + typeName(value)
	}
	text := said(value, 61)
	if len(text) > 60 {
		return text[:57] + "..."
	}
	return text
}
