package impact

import (
	"container/heap"
	"slices"
)

// rework is what a dropped, failed or abandoned call has to spend again.
type rework struct {
	outcome  outcome
	layer    layer
	span     *fact // that says so, nil for none
	instants instants
}

// reworkOf is what the call's outcome makes lost, nil for nothing.
func reworkOf(c *call) *rework {
	switch ended := c.outcome(); ended {
	case dropped, failed:
		found := &rework{ended, unobserved, c.root, c.conversation}
		if ended == failed {
			found.instants = clip([]interval{{c.start, c.end}}, c.start, c.end)
		}
		if span := c.brokenBy(); span != nil {
			found.layer, found.span = c.blamed(span), span
		}
		return found
	case abandoned:
		if last := c.leftIn(); last != nil && last.length >= c.p.abandonShort {
			return &rework{ended, last.layer, last.span, clip([]interval{{last.start, last.end}}, c.start, c.end)}
		}
	}
	return nil
}

// waited are waits of one layer and activity at one instant: how many, and the longest.
type waited struct {
	layer    layer
	activity activity
	count    int
	longest  *wait
}

// segment has constant activity.
type segment struct {
	start, end uint64
	waits      []waited // lost waits by layer and activity, holds already yielding
	talking    bool
	isAI       bool
	staffed    bool
	handoffs   []*fact // that make this instant to be repeated
	reworked   bool
}

// What begins or ends at an edge.
type edgeKind uint8

const (
	talkingEdge edgeKind = iota
	aiEdge
	staffedEdge
	waitEdge
	pauseEdge
	handoffEdge
	reworkEdge
	edgeKinds
)

type edge struct {
	at    uint64
	kind  edgeKind
	index int
}

// segments are the call cut at the edges of conversation, talk, waits, handoffs and outcome, in order.
func segments(c *call, lost *rework) []segment {
	handoffs := c.handoffs()
	edges := []edge{}
	add := func(kind edgeKind, index int, set instants) {
		for _, one := range set {
			edges = append(edges, edge{one.start, kind, index}, edge{one.end, kind, index})
		}
	}
	add(talkingEdge, 0, c.conversation)
	add(aiEdge, 0, c.voiceAI)
	add(staffedEdge, 0, c.staffed)
	var pausing [pauses]bool
	for i := range c.waits {
		if one := &c.waits[i]; one.tail.start < one.tail.end {
			edges = append(edges, edge{one.tail.start, waitEdge, i}, edge{one.tail.end, waitEdge, i})
			pausing[one.pause] = true
		}
	}
	for by := range pauses {
		if pausing[by] {
			add(pauseEdge, int(by), c.paused(by))
		}
	}
	for i := range handoffs {
		add(handoffEdge, i, handoffs[i].instants)
	}
	if lost != nil {
		add(reworkEdge, 0, lost.instants)
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return compare(a.at, b.at) })

	var found []segment
	var on [edgeKinds]bool
	repeating := -1
	lostWaits := newWaiting(c.waits)
	at := c.start
	emit := func(until uint64) {
		if until <= at {
			return
		}
		found = append(found, segment{
			start: at, end: until, waits: lostWaits.charged(),
			talking: on[talkingEdge], isAI: on[aiEdge], staffed: on[staffedEdge], reworked: on[reworkEdge],
		})
		if repeating >= 0 {
			found[len(found)-1].handoffs = handoffs[repeating].spans
		}
		at = until
	}
	for _, one := range edges {
		emit(one.at)
		switch one.kind {
		case waitEdge:
			lostWaits.toggle(one.index)
		case pauseEdge:
			lostWaits.paused[one.index] = !lostWaits.paused[one.index]
		case handoffEdge:
			if repeating == one.index {
				repeating = -1
			} else {
				repeating = one.index
			}
		default:
			on[one.kind] = !on[one.kind]
		}
	}
	emit(c.end)
	return found
}

// waiting are the waits that are lost at a moment, kept so that many at once cost little.
type waiting struct {
	waits  []wait
	groups []waitGroup
	place  []int // of each wait's group
	on     []bool
	paused [pauses]bool
}

// waitGroup has the waits of one layer, activity and pause, the longest first.
type waitGroup struct {
	layer    layer
	activity activity
	pause    pause
	count    int
	all      waitHeap
}

func newWaiting(waits []wait) *waiting {
	w := &waiting{waits: waits, place: make([]int, len(waits)), on: make([]bool, len(waits))}
	for i := range waits {
		one := &waits[i]
		at := slices.IndexFunc(w.groups, func(g waitGroup) bool {
			return g.layer == one.layer && g.activity == one.activity && g.pause == one.pause
		})
		if at < 0 {
			at = len(w.groups)
			w.groups = append(w.groups, waitGroup{
				layer: one.layer, activity: one.activity, pause: one.pause, all: waitHeap{w: w},
			})
		}
		w.place[i] = at
	}
	return w
}

// toggle begins the wait of this index, or ends it. One that ended stays in the heap until it would be the longest.
func (w *waiting) toggle(index int) {
	group := &w.groups[w.place[index]]
	if w.on[index] = !w.on[index]; !w.on[index] {
		group.count--
		for len(group.all.indices) > 0 && !w.on[group.all.indices[0]] {
			heap.Pop(&group.all)
		}
		return
	}
	group.count++
	heap.Push(&group.all, index)
}

// charged is what is charged now; a hold yields to any other wait.
func (w *waiting) charged() []waited {
	var found []waited
	others := false
	for i := range w.groups {
		if group := &w.groups[i]; group.count > 0 && !w.paused[group.pause] {
			found = join(found, waited{group.layer, group.activity, group.count, &w.waits[group.all.indices[0]]})
			others = others || group.activity != hold
		}
	}
	if others {
		found = slices.DeleteFunc(found, func(one waited) bool { return one.activity == hold })
	}
	return found
}

// join adds waits to those of the same layer and activity, which another pause holds for.
func join(found []waited, one waited) []waited {
	for i := range found {
		known := &found[i]
		if known.layer == one.layer && known.activity == one.activity {
			known.count += one.count
			if one.longest.isLonger(known.longest) {
				known.longest = one.longest
			}
			return found
		}
	}
	return append(found, one)
}

// isLonger has the longer wait first, then by start and span.
func (w *wait) isLonger(other *wait) bool {
	if w.length != other.length {
		return w.length > other.length
	}
	return w.span.before(other.span)
}

type waitHeap struct {
	w       *waiting
	indices []int
}

func (h *waitHeap) Len() int { return len(h.indices) }

func (h *waitHeap) Less(i, j int) bool {
	return h.w.waits[h.indices[i]].isLonger(&h.w.waits[h.indices[j]])
}

func (h *waitHeap) Swap(i, j int) { h.indices[i], h.indices[j] = h.indices[j], h.indices[i] }

// Push is container/heap's.
func (h *waitHeap) Push(x any) { h.indices = append(h.indices, x.(int)) }

// Pop is container/heap's.
func (h *waitHeap) Pop() any {
	last := len(h.indices) - 1
	x := h.indices[last]
	h.indices = h.indices[:last]
	return x
}

// change is that a leg has other figures from a time on; nil for none.
type change struct {
	at      uint64
	leg     int
	figures *figures
}

// changesOf are those of all legs in the call, in order.
func changesOf(c *call, legs []*fact) []change {
	most := 0
	for _, span := range legs {
		most += len(span.legRuns) + 1
	}
	changes := make([]change, 0, most)
	ends := make([]int, len(legs))
	for i, span := range legs {
		var last uint64
		open := false
		for j := range span.legRuns {
			run := &span.legRuns[j]
			low, high := max(run.start, c.start), min(run.end, c.end)
			if low >= high {
				continue
			}
			if open && last != low {
				changes = append(changes, change{last, i, nil})
			}
			changes = append(changes, change{low, i, &run.figures})
			last, open = high, true
		}
		if open {
			changes = append(changes, change{last, i, nil})
		}
		ends[i] = len(changes)
	}
	return merged(changes, ends)
}

// merged has parts that are each in order, and end at these places, in one order; of equal times the earlier part's
// comes first.
func merged(changes []change, ends []int) []change {
	into := make([]change, len(changes))
	for len(ends) > 1 {
		begun, left := 0, ends[:0]
		for i := 0; i < len(ends); i += 2 {
			middle, end := ends[i], ends[min(i+1, len(ends)-1)]
			a, b := changes[begun:middle], changes[middle:end]
			for at := begun; at < end; at++ {
				if len(b) == 0 || len(a) > 0 && a[0].at <= b[0].at {
					into[at], a = a[0], a[1:]
				} else {
					into[at], b = b[0], b[1:]
				}
			}
			begun, left = end, append(left, end)
		}
		changes, into, ends = into, changes, left
	}
	return changes
}

// piece has constant activity and constant figures; quality is nil where nothing is measured or counts.
type piece struct {
	start, end uint64
	segment    *segment
	quality    *quality
}

// pieces gives the call in pieces, in order, to each.
func pieces(c *call, lost *rework, each func(piece)) {
	var legs []*fact
	for i := range c.spans {
		if one := &c.spans[i]; len(one.legRuns) > 0 {
			legs = append(legs, one)
		}
	}
	all := segments(c, lost)
	if len(legs) == 0 {
		for i := range all {
			each(piece{all[i].start, all[i].end, &all[i], nil})
		}
		return
	}
	changes := changesOf(c, legs)
	now := newFiguresNow(legs)
	next := 0
	var heard *cell // nil where nothing is measured
	var judged quality
	var charges [cellLayers]charge
	for i := range all {
		one := &all[i]
		isJudged := one.talking && len(one.waits) == 0
		stale := true // the figures, or what counts of them, are others than those judged
		for at := one.start; at < one.end; {
			for next < len(changes) && changes[next].at <= at {
				now.change(changes[next])
				next++
				stale = true
			}
			until := one.end
			if next < len(changes) {
				until = min(until, changes[next].at)
			}
			if !isJudged {
				until = one.end
			}
			var found *quality
			if isJudged {
				if stale {
					if heard = now.cell(&c.gone, one.isAI); heard != nil {
						judged = judgeCell(heard, c.p, charges[:0])
					}
					stale = false
				}
				if heard != nil {
					found = &judged
				}
			}
			each(piece{at, until, one, found})
			at = until
		}
	}
}

// figuresNow has the legs with figures at a moment. Of a layer's hops only the largest figure of each metric and
// direction counts, and so with its path legs: many legs at once are kept in heaps, and cost little.
type figuresNow struct {
	spans   []*fact
	figures []*figures // by leg, nil for none
	plain   bool
	few     bool
	now     cell
	layers  int // that have a figure, of a plain call
	buffer  []legNow
	heaps   [mediaLayers][2][len(seriesAttrs) + directions]figureHeap
	version []int // of each leg, counted up with every change
	seen    []int
	round   int
}

// Legs up to which all are looked at.
const fewLegs = 8

func newFiguresNow(legs []*fact) *figuresNow {
	return &figuresNow{
		spans: legs, figures: make([]*figures, len(legs)), plain: isPlain(legs), few: len(legs) <= fewLegs,
		version: make([]int, len(legs)), seen: make([]int, len(legs)),
	}
}

// isPlain says whether no leg is a path's and no layer has two at one instant: then legs are layers.
func isPlain(legs []*fact) bool {
	var ends [mediaLayers]uint64
	for _, one := range legs {
		runs := one.legRuns
		if one.leg.isPath || ends[one.layer] > runs[0].start {
			return false
		}
		ends[one.layer] = runs[len(runs)-1].end
	}
	return true
}

// cell is what all layers do now, nil where nothing is measured.
func (n *figuresNow) cell(gone *[layers]bool, isAI bool) *cell {
	if n.plain {
		if n.layers == 0 {
			return nil
		}
		return &n.now
	}
	legs := n.legs()
	if len(legs) == 0 {
		return nil
	}
	n.now = resolve(legs, gone, isAI)
	return &n.now
}

// set is change, of a plain call.
func (n *figuresNow) set(to change) {
	span := n.spans[to.leg]
	place := span.layer.inCell()
	if n.now.present[place] {
		n.layers--
	}
	if n.now.present[place] = to.figures != nil; to.figures != nil {
		n.layers++
		n.now.effects[place] = effectOf(span, to.figures)
	}
}

func (n *figuresNow) change(to change) {
	if n.plain {
		n.set(to)
		return
	}
	n.figures[to.leg] = to.figures
	if n.few {
		return
	}
	n.version[to.leg]++
	if to.figures == nil {
		return
	}
	span := n.spans[to.leg]
	heaps := &n.heaps[span.layer][boolByte(span.leg.isPath)]
	for i := range heaps {
		value := notMeasured
		if i < len(seriesAttrs) {
			value = to.figures[i]
		} else if direction := i - len(seriesAttrs); to.figures.isMeasured(direction) && span.leg.ie[direction] > 0 {
			value = span.leg.ie[direction]
		}
		if value != notMeasured {
			heap.Push(&heaps[i], figureEntry{source{value, span}, to.leg, n.version[to.leg]})
		}
	}
}

// legs are those that may count now.
func (n *figuresNow) legs() []legNow {
	n.buffer = n.buffer[:0]
	if n.few {
		for i, one := range n.figures {
			if one != nil {
				n.buffer = append(n.buffer, legNow{n.spans[i], one})
			}
		}
		return n.buffer
	}
	n.round++
	for l := range n.heaps {
		for scope := range n.heaps[l] {
			for i := range n.heaps[l][scope] {
				h := &n.heaps[l][scope][i]
				for len(*h) > 0 && n.version[(*h)[0].leg] != (*h)[0].version {
					heap.Pop(h)
				}
				if len(*h) == 0 || n.seen[(*h)[0].leg] == n.round {
					continue
				}
				leg := (*h)[0].leg
				n.seen[leg] = n.round
				n.buffer = append(n.buffer, legNow{n.spans[leg], n.figures[leg]})
			}
		}
	}
	return n.buffer
}

type figureEntry struct {
	from    source
	leg     int
	version int
}

// figureHeap has the largest figure first.
type figureHeap []figureEntry

func (h figureHeap) Len() int           { return len(h) }
func (h figureHeap) Less(i, j int) bool { return h[i].from.isWorse(h[j].from) }
func (h figureHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is container/heap's.
func (h *figureHeap) Push(x any) { *h = append(*h, x.(figureEntry)) }

// Pop is container/heap's.
func (h *figureHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
