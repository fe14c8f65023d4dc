package impact

import "github.com/cxotel/cxotel/collector/internal/spec"

// Attr numbers the attributes that the model reads. Everything else on a span is ignored.
type Attr uint8

// The attributes that the model reads, in no order that matters.
const (
	AttrLayer Attr = iota
	AttrActivity
	AttrOwner
	AttrWaitSeconds
	AttrCRMWaiting
	AttrFidelity
	AttrKeysExpected
	AttrKeysDelivered
	AttrOutcome
	AttrMedium
	AttrWindow
	AttrScope
	AttrToAgentLoss
	AttrToAgentDelay
	AttrToCustomerLoss
	AttrToCustomerDelay
	AttrToAgentIE
	AttrToCustomerIE
	attrCount
)

// Kind is the type of an attribute's value.
type Kind uint8

// The types of OTLP's AnyValue. KindOther is what the model never reads as anything: bytes, maps, an empty value.
const (
	KindAbsent Kind = iota
	KindString
	KindBool
	KindInt
	KindDouble
	KindStrings // a list; Strings holds its items that are strings
	KindOther
)

// Value is one attribute's value, without a pointer to where it came from but the string's bytes.
type Value struct {
	Kind    Kind
	Bool    bool
	Int     int64
	Double  float64
	String  string
	Strings []string
}

// Latency is the value of one attribute of another maker that tells a wait (parameters makers.latencies).
type Latency struct {
	Activity string
	Value    Value
}

// Input is one span as received, whatever carried it. A caller reuses it from span to span: Reset keeps the
// memory of Latencies.
type Input struct {
	TraceID  [16]byte
	SpanID   [8]byte
	ParentID [8]byte
	Name     string
	Start    uint64 // ns since the Unix epoch; 0 where absent
	End      uint64 // likewise
	Scope    string // name of the instrumentation scope
	IsError  bool   // status Error

	Values    [attrCount]Value
	Latencies []Latency
}

// Reset empties the input for the next span.
func (in *Input) Reset() {
	latencies := in.Latencies[:0]
	*in = Input{Latencies: latencies}
}

// Key gives the number of an attribute by its name; false for one that the model does not read.
func Key(name string) (Attr, bool) {
	switch name {
	case spec.CxLayer:
		return AttrLayer, true
	case spec.CxActivity:
		return AttrActivity, true
	case spec.CxOwner:
		return AttrOwner, true
	case spec.CxWaitSeconds:
		return AttrWaitSeconds, true
	case spec.CxCrmWaiting:
		return AttrCRMWaiting, true
	case spec.CxHandoffFidelity:
		return AttrFidelity, true
	case spec.CxHandoffKeysExpected:
		return AttrKeysExpected, true
	case spec.CxHandoffKeysDelivered:
		return AttrKeysDelivered, true
	case spec.CxCallOutcome:
		return AttrOutcome, true
	case spec.CxCallMedium:
		return AttrMedium, true
	case spec.CxMediaWindow:
		return AttrWindow, true
	case spec.CxMediaScope:
		return AttrScope, true
	case spec.CxMediaToAgentLossPct:
		return AttrToAgentLoss, true
	case spec.CxMediaToAgentDelayMs:
		return AttrToAgentDelay, true
	case spec.CxMediaToCustomerLossPct:
		return AttrToCustomerLoss, true
	case spec.CxMediaToCustomerDelayMs:
		return AttrToCustomerDelay, true
	case spec.CxMediaToAgentIe:
		return AttrToAgentIE, true
	case spec.CxMediaToCustomerIe:
		return AttrToCustomerIE, true
	}
	return 0, false
}
