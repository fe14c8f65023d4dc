package cximpactconnector

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// origin is the span that a value comes from.
type origin struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

type exemplar struct {
	origin
	value float64
	at    pcommon.Timestamp
}

// exemplars keeps the worst values since the last flush. Those sent are sent again until there are newer ones, as
// whoever scrapes may look less often than is flushed.
type exemplars struct {
	fresh []exemplar // the least bad first
	sent  []exemplar
}

// offer keeps a value if it is among the worst; of equal ones the newer.
func (e *exemplars) offer(one exemplar, most int, worse func(a, b float64) int) {
	if most == 0 {
		return
	}
	place, _ := slices.BinarySearchFunc(e.fresh, one.value, func(other exemplar, value float64) int {
		if worse(other.value, value) <= 0 {
			return -1 // behind all that are not worse
		}
		return 1
	})
	if len(e.fresh) < most {
		e.fresh = slices.Insert(e.fresh, place, one)
		return
	}
	if place == 0 {
		return
	}
	copy(e.fresh, e.fresh[1:place])
	e.fresh[place-1] = one
}

// write adds them to a point, the worst last: the Prometheus exporter shows the last one of a counter.
func (e *exemplars) write(into pmetric.ExemplarSlice) {
	if len(e.fresh) > 0 {
		e.fresh, e.sent = e.sent[:0], e.fresh
	}
	into.EnsureCapacity(len(e.sent))
	for _, one := range e.sent {
		written := into.AppendEmpty()
		written.SetTraceID(one.trace)
		written.SetSpanID(one.span)
		written.SetTimestamp(one.at)
		written.SetDoubleValue(one.value)
	}
}
