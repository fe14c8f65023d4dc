package callstore

import "github.com/cxotel/cxotel/collector/internal/impact"

// Kind says what an emission is.
type Kind uint8

// What a store has to send.
const (
	// Judged is a root with its verdict and its evidence.
	Judged Kind = iota
	// Passed are roots that are not the call's: they go out as they came.
	Passed
	// PartialCall is a call without its root.
	PartialCall
	// Correction is a verdict that changed after the call was told.
	Correction
	// Warning tells of a call that still runs.
	Warning
)

// Emission is something to send. What is made of it hangs on nothing but its fields, so that it can be made again.
type Emission struct {
	Kind    Kind
	Key     Key
	Verdict *impact.Verdict
	// Root is the judged root, OTLP protobuf of a request with this one span.
	Root HeldRoot
	// Others are further roots, as Root.
	Others []HeldRoot
	// Copied are values of the attributes that the root gets from other spans, by position; "" for none.
	Copied []string
	// Links are the other parts of the call that this store has not seen.
	Links []Alias
	// Number counts a call's corrections, from 1.
	Number int
	// Warned is what a warning is about.
	Warned Warned
}

// HeldRoot is a root as it came.
type HeldRoot struct {
	Trace   TraceID // its own: that of its call may be another, where a key is an alias
	Span    SpanID
	End     uint64
	Payload []byte
}

// Alias is the context that a call has by another of its keys.
type Alias struct {
	Trace TraceID
	Root  SpanID
}

// Warned is a layer of a running call, and the media episode that showed how bad it is.
type Warned struct {
	Layer   string
	Owner   string
	Trace   TraceID // of the episode
	Episode SpanID
	Start   uint64
	End     uint64
}
