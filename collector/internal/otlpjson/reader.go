package otlpjson

import (
	"fmt"
	"io"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

// Reader reads the spans of streams, one stream after the other.
type Reader struct {
	// Latency gives the activity that an attribute of another maker is a wait of (parameters makers.latencies).
	Latency func(key string) (activity string, known bool)
	// Span takes a span that has a trace id. The input holds until it returns, but for its strings; what was received
	// holds its whole document as long as it is kept.
	Span func(in *impact.Input, as Received)
	// Problem is told what could not be read, with the line it stands in, counted from 1.
	Problem func(line int, text string)
	// Limit is the length of the longest document in bytes; 0 for MaxDocument.
	Limit int

	spans spanReader
}

// Read reads a stream to its end, plain or gzip.
func (r *Reader) Read(stream io.Reader) {
	limit := r.Limit
	if limit == 0 {
		limit = MaxDocument
	}
	r.spans.latency = r.Latency
	found := documents{limit: limit, problem: r.Problem, found: r.document}
	found.read(stream)
}

func (r *Reader) document(found document) {
	tell := func(text string) { r.Problem(found.line, text) }
	err := groupsOf(found.value, "", 0, func(groups any, where string) { r.groups(groups, where, tell) })
	if err != nil {
		tell(err.Error() + "; left out")
	}
}

func (r *Reader) groups(groups any, where string, tell func(string)) {
	eachObject(groups, at(where), tell, func(group *object, i place) {
		inner := "scopeSpans"
		if group.has("scope_spans") {
			inner = "scope_spans"
		}
		eachObject(group.get(inner), i.in(inner), tell, func(scoped *object, j place) {
			name := ""
			if scope, ok := scoped.get("scope").(*object); ok {
				name, _ = scope.get("name").(string)
			}
			eachObject(scoped.get("spans"), j.in("spans"), tell, func(raw *object, k place) {
				r.span(Received{raw: raw, scoped: scoped, group: group}, name, k, tell)
			})
		})
	})
}

func (r *Reader) span(as Received, scope string, where place, tell func(string)) {
	r.spans.read(as.raw, scope)
	for _, text := range r.spans.bad {
		tell(where.String() + ": " + text)
	}
	if isZero(r.spans.in.TraceID[:]) {
		tell(where.String() + ": the span is left out, it belongs to no trace")
		return
	}
	as.spanID, as.end, as.isOurs = r.spans.in.SpanID, r.spans.in.End, scope == judgeScope
	r.Span(&r.spans.in, as)
}

// place is the path of a part of a document; it becomes a text only where something is to be said.
type place struct {
	outer *place
	name  string
	index int // -1 for a list as a whole
}

func at(name string) place            { return place{nil, name, -1} }
func (p *place) in(name string) place { return place{p, name, -1} }
func (p *place) item(index int) place { return place{p.outer, p.name, index} }
func (p *place) String() string {
	text := p.name
	if p.outer != nil {
		text = p.outer.String() + "." + text
	}
	if p.index >= 0 {
		text += fmt.Sprintf("[%d]", p.index)
	}
	return text
}

func eachObject(items any, where place, tell func(string), do func(*object, place)) {
	if items == nil {
		return
	}
	list, ok := items.([]any)
	if !ok {
		tell(where.String() + " is no list, nothing of it was read")
		return
	}
	for i, item := range list {
		one := where.item(i)
		if fields, ok := item.(*object); ok {
			do(fields, one)
		} else {
			tell(one.String() + " is no object, left out")
		}
	}
}
