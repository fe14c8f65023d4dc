package otlpjson

import (
	"fmt"
	"strings"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

var (
	spanKinds = []string{
		"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
		"SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
	}
	statusCodes = []string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}
)

const statusError = 2

// spanReader turns spans of a parsed document into what the model reads.
type spanReader struct {
	latency func(key string) (activity string, known bool)
	in      impact.Input
	keys    []string // of in.Latencies, in their order
	bad     []string // what could not be read of the span, a phrase each
}

// read reads one span; what it finds holds until the next call.
func (s *spanReader) read(raw *object, scope string) {
	s.in.Reset()
	s.keys, s.bad = s.keys[:0], s.bad[:0]
	status, ok := raw.get("status").(*object)
	if !ok {
		if raw.get("status") != nil {
			s.bad = append(s.bad, "status that is no object")
		}
		status = new(object)
	}
	s.id(raw.first("traceId", "trace_id"), "traceId", s.in.TraceID[:])
	s.id(raw.first("spanId", "span_id"), "spanId", s.in.SpanID[:])
	s.in.Name = strings.Clone(s.text(raw, "name"))
	s.in.Start = s.time(raw.first("startTimeUnixNano", "start_time_unix_nano"), "startTimeUnixNano")
	s.in.End = s.time(raw.first("endTimeUnixNano", "end_time_unix_nano"), "endTimeUnixNano")
	readAttributes(raw.get("attributes"), 0, &s.bad, s.attribute)
	if parent := raw.first("parentSpanId", "parent_span_id"); !isNoID(parent, 2*len(s.in.ParentID)) {
		s.id(parent, "parentSpanId", s.in.ParentID[:])
	}
	s.in.Scope = strings.Clone(scope)
	s.in.IsError = s.enum(status.get("code"), statusCodes, "status.code") == statusError
	s.text(status, "message")
	s.enum(raw.get("kind"), spanKinds, "kind")
}

func (s *spanReader) attribute(key string, value impact.Value) {
	attr, isAttr := impact.Key(key)
	activity, isLatency := s.latency(key)
	if !isAttr && !isLatency {
		return
	}
	value.String = strings.Clone(value.String) // else it would hold the whole document
	if isAttr {
		s.in.Values[attr] = value
	}
	if !isLatency {
		return
	}
	for i, known := range s.keys {
		if known == key {
			s.in.Latencies[i].Value = value
			return
		}
	}
	s.keys = append(s.keys, key)
	s.in.Latencies = append(s.in.Latencies, impact.Latency{Activity: activity, Value: value})
}

func (s *spanReader) id(value any, name string, into []byte) {
	if !readID(value, into) {
		s.misplaced(value, name, 60, fmt.Sprintf("%d hex digits, not all 0, belong", 2*len(into)))
	}
}

func (s *spanReader) time(value any, name string) uint64 {
	whole, ok := integerOf(value)
	if !ok || whole.huge || whole.negative || whole.size == 0 {
		s.misplaced(value, name, 40, "ns since 1970 belong")
		return 0
	}
	return whole.size
}

func (s *spanReader) misplaced(value any, name string, most int, wanted string) {
	text := "none"
	if value != nil {
		text = said(value, most)
	}
	s.bad = append(s.bad, name+" "+text+" where "+wanted)
}

func (s *spanReader) text(node *object, name string) string {
	value := node.get(name)
	text, ok := value.(string)
	if !ok && value != nil {
		s.bad = append(s.bad, name+" that is no string")
	}
	return text
}

// enum reads an enum given as number or name; 0 for what is neither.
func (s *spanReader) enum(value any, names []string, field string) int {
	switch value := value.(type) {
	case nil:
		return 0
	case string:
		for i, name := range names {
			if value == name {
				return i
			}
		}
	default:
		whole, ok := integerOf(value)
		if ok && !whole.negative && whole.size < uint64(len(names)) {
			return int(whole.size)
		}
	}
	s.bad = append(s.bad, field+" "+said(value, 40)+" that OTLP does not have (taken as unset)")
	return 0
}
