package otlpjson

import (
	"fmt"
	"strings"
)

// maxWraps bounds result in trace in list ...: no known answer has more than two.
const maxWraps = 8

// badDocument is a document of no known form, or a server's error answer, and says what it is.
type badDocument string

func (b badDocument) Error() string { return string(b) }

// groupsOf finds the lists of ResourceSpans in a document, each told with its path.
func groupsOf(value any, where string, depth int, found func(groups any, where string)) error {
	if list, ok := value.([]any); ok && depth < maxWraps {
		for i, item := range list {
			if err := groupsOf(item, fmt.Sprintf("%s[%d].", where, i), depth+1, found); err != nil {
				return err
			}
		}
		return nil
	}
	document, ok := value.(*object)
	if !ok || depth >= maxWraps {
		return badDocument(fmt.Sprintf("a JSON %s where a trace was expected", typeName(value)))
	}
	for _, name := range []string{"resourceSpans", "resource_spans", "batches"} {
		if document.has(name) {
			found(document.get(name), where+name)
			return nil
		}
	}
	for _, name := range []string{"result", "trace"} {
		if inner, ok := document.get(name).(*object); ok {
			if len(inner.keys) == 0 { // an answer about no trace
				return nil
			}
			return groupsOf(inner, where+name+".", depth+1, found)
		}
	}
	if traces, ok := document.get("data").([]any); ok {
		for i, trace := range traces {
			found(jaegerGroups(trace), fmt.Sprintf("%sdata[%d] read as OTLP", where, i))
		}
		return nil
	}
	if document.has("spans") && document.has("processes") {
		found(jaegerGroups(document), where+"trace read as OTLP")
		return nil
	}
	for _, name := range []string{"resourceLogs", "resourceMetrics", "resourceProfiles"} {
		if document.has(name) {
			return nil
		}
	}
	return badDocument(whatItIs(document))
}

// isKnown tells whether a value is a document of a known form, with something in it.
func isKnown(value any) bool {
	if groupsOf(value, "", 0, func(any, string) {}) != nil {
		return false
	}
	list, ok := value.([]any)
	return !ok || len(list) > 0
}

func whatItIs(document *object) string {
	answer := document.get("error")
	if errors, ok := document.get("errors").([]any); ok && len(errors) > 0 {
		answer = errors[0]
	}
	if fields, ok := answer.(*object); ok {
		return "a server's error answer: " + said(fields.first("msg", "message"), 200)
	}
	keys := make([]string, 0, 5)
	for _, key := range document.keys[:min(5, len(document.keys))] {
		keys = append(keys, said(key, 40))
	}
	if len(keys) == 0 {
		keys = append(keys, "none")
	}
	return "a JSON object without resourceSpans, batches, trace, result or data (its keys: " +
		strings.Join(keys, ", ") + ")"
}
