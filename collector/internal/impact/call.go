package impact

import (
	"bytes"
	"slices"
)

// pause is what takes instants out of a wait's tail. It is one for all waits of a kind, and is not taken out of each
// tail by itself: of thousands of handoffs and thousands of queues that would be millions of pieces.
type pause uint8

const (
	noPause  pause = iota
	arriving       // queue or connect; of a handoff
	chatting       // talk outside hold; of a lookup that does not say whether anyone waits
	pauses
)

// wait is a span's wait.
type wait struct {
	span       *fact
	activity   activity
	layer      layer // who is charged
	start, end uint64
	length     uint64
	tail       interval // beyond the allowance, in the call; empty for none
	pause      pause    // what takes instants out of the tail
}

// call is what the facts tell of: its interval, its conversation, its waits, what it went through.
type call struct {
	p          *Parameters
	spans      []fact // in order of start
	root       *fact
	start, end uint64
	skipped    int

	by           [activities][]*fact
	talk, hold   instants
	voiceAI      instants
	conversation instants
	staffed      instants // inside talk or hold: an agent's time
	waits        []wait
	gone         [layers]bool // layers that the call went through
	blind        []layer      // those of them that nobody measured, in path order
}

func newCall(facts []fact, bad int, p *Parameters) *call {
	slices.SortFunc(facts, func(a, b fact) int {
		if a.start != b.start {
			return compare(a.start, b.start)
		}
		if a.id != b.id {
			return compare(a.id, b.id)
		}
		return bytes.Compare(a.trace[:], b.trace[:])
	})
	c := &call{p: p, spans: facts, skipped: bad}
	for i := range facts {
		one := &facts[i]
		c.skipped += one.skipped
		if one.isRoot && c.root == nil {
			c.root = one
		}
		if one.activity != noActivity {
			c.by[one.activity] = append(c.by[one.activity], one)
		}
	}
	if c.root != nil {
		c.skipped += c.root.rootSkipped
	}
	c.setInterval()
	c.setConversation()
	c.setWaits()
	c.setGone()
	c.setBlind()
	return c
}

func (c *call) outcome() outcome {
	if c.root == nil {
		return noOutcome
	}
	return c.root.outcome
}

func (c *call) setInterval() {
	if c.root == nil {
		isFirst := true
		for i := range c.spans {
			one := &c.spans[i]
			if one.layer == noLayer {
				continue
			}
			if isFirst {
				c.start, isFirst = one.start, false
			}
			c.end = max(c.end, one.end)
		}
		return
	}
	c.start, c.end = c.root.start, c.root.end
	earliest := less(c.start, c.p.setupBefore)
	for _, one := range c.by[setup] { // in order of start
		if one.start >= earliest && one.start < c.start {
			c.start = one.start
			break
		}
	}
}

func (c *call) clip(intervals []interval) instants { return union(clip(intervals, c.start, c.end)) }

// during is the instants of spans of these activities.
func (c *call) during(names ...activity) instants {
	var intervals []interval
	for _, name := range names {
		for _, one := range c.by[name] {
			intervals = append(intervals, interval{one.start, one.end})
		}
	}
	return c.clip(intervals)
}

func (c *call) setConversation() {
	before := c.during(setup, ivr, queue, connect)
	speaking := c.during(converse)
	c.talk, c.hold = c.during(talk), c.during(hold)
	var ai []interval
	for _, one := range c.by[converse] {
		if one.layer == voiceAI {
			ai = append(ai, interval{one.start, one.end})
		}
	}
	c.voiceAI = c.clip(ai)
	if len(speaking) == 0 && len(c.talk) == 0 {
		speaking = c.clip([]interval{{c.start, c.end}})
	}
	spoken := union(slices.Concat(speaking.minus(before), c.talk, c.voiceAI))
	c.conversation = spoken.minus(c.hold)
	c.staffed = union(slices.Concat(c.talk, c.hold))
}

// setWaits finds every wait; tails are what the people lost of it before holds yield.
func (c *call) setWaits() {
	for i := range c.p.allowances {
		allowed := &c.p.allowances[i]
		for _, one := range c.by[allowed.activity] {
			if allowed.activity == lookup && one.waiting == waitingNo {
				continue
			}
			length := one.end - one.start
			if one.hasWait {
				length = one.wait
			}
			c.addWait(one, allowed, length)
		}
	}
	for i := range c.spans {
		for _, latency := range c.spans[i].latencies {
			if len(c.by[latency.activity]) > 0 {
				continue
			}
			if !latency.ok {
				c.skipped++
				continue
			}
			for j := range c.p.allowances {
				if c.p.allowances[j].activity == latency.activity {
					c.addWait(&c.spans[i], &c.p.allowances[j], latency.ns)
				}
			}
		}
	}
}

func (c *call) addWait(span *fact, allowed *allowance, length uint64) {
	w := wait{span: span, activity: allowed.activity, layer: span.layer, start: span.start, length: length}
	w.end = plus(span.start, length)
	if w.activity == hold || !w.layer.isChargeable() {
		w.layer = allowed.layer
	}
	w.tail = interval{max(plus(span.start, allowed.ns), c.start), min(w.end, c.end)}
	switch {
	case w.activity == handoffActivity:
		w.pause = arriving
	case w.activity == lookup && span.waiting == waitingUnsaid:
		w.pause = chatting
	}
	c.waits = append(c.waits, w)
}

// paused are the instants that a pause takes out.
func (c *call) paused(by pause) instants {
	switch by {
	case arriving:
		return c.during(queue, connect)
	case chatting:
		return c.talk.minus(c.hold)
	}
	return nil
}

// repeated are handoffs of one start that lost context, and the instants that have to be repeated for them.
type repeated struct {
	spans    []*fact
	instants instants
}

// handoffs are those that lost context, by start. No two starts have an instant in common.
func (c *call) handoffs() []repeated {
	var found []repeated
	since, latest := c.start, c.start
	var begun uint64
	for _, one := range c.by[handoffActivity] {
		if one.start != begun {
			since, begun = latest, one.start
		}
		latest = max(latest, one.end)
		if one.fidelity >= 1 {
			continue
		}
		if last := len(found) - 1; last >= 0 && found[last].spans[0].start == one.start {
			found[last].spans = append(found[last].spans, one)
			continue
		}
		found = append(found, repeated{[]*fact{one}, c.conversation.within(since, one.start)})
	}
	return found
}

// leftIn is the queue or hold whose wait ended last, if that was near the call's end.
func (c *call) leftIn() *wait {
	var last *wait
	for i := range c.waits {
		one := &c.waits[i]
		if one.activity != queue && one.activity != hold || apart(one.end, c.end) > c.p.endGrace {
			continue
		}
		if last == nil || isLater(one.end, one.layer, one.span, last.end, last.layer, last.span) {
			last = one
		}
	}
	return last
}

// isLater has what ended last first, then by path order, start and span id.
func isLater(end uint64, l layer, span *fact, otherEnd uint64, otherLayer layer, other *fact) bool {
	switch {
	case end != otherEnd:
		return end > otherEnd
	case l != otherLayer:
		return l < otherLayer
	case span.start != other.start:
		return span.start < other.start
	}
	return span.id < other.id
}

// brokenBy is the converse, setup or connect span with status Error that ended last, if that was near the call's end.
func (c *call) brokenBy() *fact {
	var last *fact
	for _, name := range []activity{converse, setup, connect} {
		for _, one := range c.by[name] {
			blamed := c.blamed(one)
			if !one.isError || apart(one.end, c.end) > c.p.endGrace || blamed == noLayer {
				continue
			}
			if last == nil || isLater(one.end, blamed, one, last.end, c.blamed(last), last) {
				last = one
			}
		}
	}
	return last
}

// blamed is the layer that a span names, or whose its activity is.
func (c *call) blamed(span *fact) layer {
	if span.layer.isChargeable() {
		return span.layer
	}
	return c.p.defaultLayers[span.activity]
}

// outside counts spans that lie wholly further outside the call than a clock may differ.
func (c *call) outside() int {
	count := 0
	for _, name := range []activity{setup, ivr, queue, connect, talk, converse, respond, hold, handoffActivity} {
		for _, one := range c.by[name] {
			before := one.end < c.start && c.start-one.end > c.p.outside
			after := one.start > c.end && one.start-c.end > c.p.outside
			if one.layer.isChargeable() && (before || after) {
				count++
			}
		}
	}
	return count
}

func (c *call) holds(start, end uint64) bool { return start < c.end && end >= c.start }

func (c *call) setGone() {
	mark := func(l layer, start, end uint64) {
		if l.isChargeable() && l != agent && c.holds(start, end) {
			c.gone[l] = true
		}
	}
	for i := range c.spans {
		mark(c.spans[i].layer, c.spans[i].start, c.spans[i].end)
	}
	for i := range c.waits {
		mark(c.waits[i].layer, c.waits[i].start, c.waits[i].end)
	}
	people := c.gone[agentNetwork] || c.gone[endpoint]
	for _, one := range c.by[talk] {
		people = people || c.holds(one.start, one.end)
	}
	c.gone[agentNetwork], c.gone[endpoint] = people, people
	if c.root == nil || !c.root.isWeb {
		c.gone[carrier] = true
	}
}

func (c *call) goneCount() int {
	count := 0
	for _, one := range c.gone {
		count += int(boolByte(one))
	}
	return count
}

func (c *call) setBlind() {
	var measured [layers]bool
	for i := range c.spans {
		one := &c.spans[i]
		if one.leg == nil {
			continue
		}
		one.legRuns = one.runs()
		for _, run := range one.legRuns {
			if max(run.start, c.start) < min(run.end, c.end) {
				measured[one.layer] = true
				break
			}
		}
	}
	for i := range c.waits {
		if one := &c.waits[i]; one.activity == respond && c.holds(one.start, one.end) {
			measured[voiceAI] = true
		}
	}
	for _, l := range []layer{carrier, agentNetwork, endpoint, voiceAI} {
		if c.gone[l] && !measured[l] {
			c.blind = append(c.blind, l)
		}
	}
}
