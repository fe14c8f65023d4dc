package impact

import "github.com/cxotel/cxotel/collector/internal/spec"

// layer is a place in path order, or one of the values below 0.
type layer int8

const (
	carrier layer = iota
	ccaas
	agentNetwork
	endpoint
	voiceAI
	handoffLayer
	crm
	agent
	unobserved
	layers // how many

	noLayer    layer = -1
	otherLayer layer = -2 // a string that is no layer's
	callLayer  layer = -3

	mediaLayers = voiceAI + 1 // those that carry or play audio come first
	// A cell has the media layers and the blind part between them; this is its place in a cell.
	unobservedInCell = int(mediaLayers)
	cellLayers       = unobservedInCell + 1
)

var layerNames = [layers]string{
	spec.CxLayerCarrier, spec.CxLayerCcaas, spec.CxLayerAgentNetwork, spec.CxLayerEndpoint, spec.CxLayerVoiceAi,
	spec.CxLayerHandoff, spec.CxLayerCrm, spec.CxLayerAgent, spec.CxLayerUnobserved,
}

func (l layer) String() string { return layerNames[l] }

// isChargeable says whether a span may name the layer and be charged.
func (l layer) isChargeable() bool { return l >= carrier && l < unobserved }

func (l layer) isMedia() bool { return l >= carrier && l < mediaLayers }

// inCell is the layer's place among those of a cell.
func (l layer) inCell() int {
	if l == unobserved {
		return unobservedInCell
	}
	return int(l)
}

func layerInCell(place int) layer {
	if place == unobservedInCell {
		return unobserved
	}
	return layer(place)
}

// layerOf reads cx.layer. A span that names `unobserved` names no layer that is one.
func layerOf(name string) layer {
	if name == "" {
		return noLayer
	}
	if name == spec.CxLayerCall {
		return callLayer
	}
	for i, one := range layerNames[:unobserved] {
		if one == name {
			return layer(i)
		}
	}
	return otherLayer
}

// MediaRank is a media layer's place in path order, -1 for any other text.
func MediaRank(name string) int {
	if l := layerOf(name); l.isMedia() {
		return int(l)
	}
	return -1
}

// activity is what was going on; only those that the model asks for have a value of their own.
type activity uint8

const (
	noActivity activity = iota
	setup
	ivr
	queue
	connect
	talk
	converse
	respond
	hold
	handoffActivity
	lookup
	otherActivity
	activities
)

var activityNames = [activities]string{
	setup: spec.CxActivitySetup, ivr: spec.CxActivityIvr, queue: spec.CxActivityQueue, connect: spec.CxActivityConnect,
	talk: spec.CxActivityTalk, converse: spec.CxActivityConverse, respond: spec.CxActivityRespond,
	hold: spec.CxActivityHold, handoffActivity: spec.CxActivityHandoff, lookup: spec.CxActivityLookup,
}

func (a activity) String() string { return activityNames[a] }

func activityOf(name string) activity {
	if name == "" {
		return noActivity
	}
	for i, one := range activityNames {
		if one == name {
			return activity(i)
		}
	}
	return otherActivity
}

// The way from the customer to the agent, human or AI; to the customer it is the reverse.
var (
	lineHuman = []layer{carrier, ccaas, agentNetwork, endpoint}
	lineAI    = []layer{carrier, ccaas, voiceAI}
)

const (
	toAgent = iota
	toCustomer
	directions
)
