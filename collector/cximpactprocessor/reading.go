package cximpactprocessor

import (
	"crypto/sha256"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/callstore"
	"github.com/cxotel/cxotel/collector/internal/impact"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

const (
	ownPrefix        = "cx."
	verdictPrefix    = "cx.impact."
	mosPrefix        = "cx.media.mos."
	defaultNamespace = "default" // trace model: if none is given
)

// isStamp says whether a verdict writes an attribute.
func isStamp(name string) bool {
	return strings.HasPrefix(name, verdictPrefix) || strings.HasPrefix(name, mosPrefix)
}

// reader makes what the store takes of a span as it came.
type reader struct {
	parameters *impact.Parameters
	copied     []string
	scratch    sync.Pool
}

func newReader(parameters *impact.Parameters, copied []string) *reader {
	r := &reader{parameters: parameters, copied: copied}
	r.scratch.New = func() any {
		return &callstore.Span{Input: &impact.Input{}, Copied: nil}
	}
	return r
}

// read fills a span, which is reused: nothing of it may be kept but strings.
func (r *reader) read(into *callstore.Span, span ptrace.Span) {
	in := into.Input
	in.Reset()
	copied := into.Copied[:0]
	*into = callstore.Span{Input: in}
	in.TraceID, in.SpanID, in.ParentID = span.TraceID(), span.SpanID(), span.ParentSpanID()
	in.Name = span.Name()
	in.Start, in.End = uint64(span.StartTimestamp()), uint64(span.EndTimestamp())
	in.IsError = span.Status().Code() == ptrace.StatusCodeError
	var namespace string
	var aliases pcommon.Slice
	hasAliases := false
	for name, value := range span.Attributes().All() {
		if !strings.HasPrefix(name, ownPrefix) {
			if activity, ok := r.parameters.Latency(name); ok {
				in.Latencies = append(in.Latencies, impact.Latency{Activity: activity, Value: valueOf(value)})
				into.Concerns = true
			}
			continue
		}
		into.Concerns = true
		into.HasVerdict = into.HasVerdict || strings.HasPrefix(name, verdictPrefix)
		if attr, ok := impact.Key(name); ok {
			in.Values[attr] = valueOf(value)
			continue
		}
		switch name {
		case spec.CxCallAnnounced:
			into.Announced = value.Type() == pcommon.ValueTypeBool && value.Bool()
		case spec.CxImpactModel:
			into.IsStamped = true
		case spec.CxCallNamespace:
			namespace = value.Str()
		case spec.CxCallAlias:
			if hasAliases = value.Type() == pcommon.ValueTypeSlice; hasAliases {
				aliases = value.Slice()
			}
		}
		if at := index(r.copied, name); at >= 0 && value.Type() == pcommon.ValueTypeStr {
			if len(copied) == 0 {
				copied = append(copied, make([]string, len(r.copied))...)
			}
			copied[at] = value.Str()
		}
	}
	if len(copied) > 0 {
		into.Copied = copied
	}
	if hasAliases {
		into.Aliases = aliasesOf(aliases, namespace)
	}
	into.IsInvalid = in.TraceID == [16]byte{} || in.IsBad()
	layer := &in.Values[impact.AttrLayer]
	if !into.IsInvalid && layer.Kind == impact.KindString && layer.String == spec.CxLayerCall {
		into.IsRoot = in.IsRootName()
		into.IsStart = in.Name == spec.SpanCallStarted
	}
	into.IsEpisode = in.Name == spec.SpanMediaEpisode
	into.Concerns = into.Concerns || r.parameters.IsSession(in.Name) || into.IsInvalid
}

func index(names []string, name string) int {
	for i := range names {
		if names[i] == name {
			return i
		}
	}
	return -1
}

func valueOf(value pcommon.Value) impact.Value {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return impact.Value{Kind: impact.KindString, String: value.Str()}
	case pcommon.ValueTypeBool:
		return impact.Value{Kind: impact.KindBool, Bool: value.Bool()}
	case pcommon.ValueTypeInt:
		return impact.Value{Kind: impact.KindInt, Int: value.Int()}
	case pcommon.ValueTypeDouble:
		return impact.Value{Kind: impact.KindDouble, Double: value.Double()}
	case pcommon.ValueTypeSlice:
		list := value.Slice()
		items := make([]string, 0, list.Len())
		for _, item := range list.All() {
			if item.Type() == pcommon.ValueTypeStr {
				items = append(items, item.Str())
			}
		}
		return impact.Value{Kind: impact.KindStrings, Strings: items}
	}
	return impact.Value{Kind: impact.KindOther}
}

// Aliases of one span that are looked at: a call has few keys.
const mostAliases = 16

func aliasesOf(keys pcommon.Slice, namespace string) []callstore.Alias {
	if namespace == "" {
		namespace = defaultNamespace
	}
	var aliases []callstore.Alias
	for _, key := range keys.All() {
		if key.Type() == pcommon.ValueTypeStr && key.Str() != "" && len(aliases) < mostAliases {
			aliases = append(aliases, callIDs(namespace, key.Str()))
		}
	}
	return aliases
}

// callIDs are the ids that a call key means (trace model, "Identity").
func callIDs(namespace, key string) callstore.Alias {
	digest := sha256.Sum256([]byte("cx\x00" + namespace + "\x00" + key))
	return callstore.Alias{Trace: callstore.TraceID(digest[:16]), Root: callstore.SpanID(digest[16:24])}
}
