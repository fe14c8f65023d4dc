package callstore

import (
	"unique"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

type phase uint8

const (
	live phase = iota
	held
	out
	told
)

type flag uint8

const (
	sawStart  flag = 1 << iota // the span `call started` came
	announced                  // the root says that it was sent
	missed                     // spans may have been missed
	layered                    // a span of the call names a layer
	trusted                    // its root came judged
	dirty                      // changed since it was last stored
	unsure                     // spans that came after the verdict may have been missed
)

// call is what is kept of one. It is small: a hundred thousand of them live at once.
type call struct {
	key         Key
	state       impact.State
	first, last int64 // arrivals
	due         int64 // when it is looked at next
	copied      unique.Handle[string]
	more        *more
	index       int32 // in the heap
	phase       phase
	flags       flag
	warned      uint8 // bits by place of the media layer
	known       uint8 // bits by place of what copied holds
}

// more is what few calls have at a time.
type more struct {
	correctAt int64 // when the verdict is looked at again; 0 for never
	held      []HeldRoot
	sent      []SpanID // roots that went out
	digest    uint64   // of the verdict told last
	number    int      // corrections told
	aliases   []alias
}

type alias struct {
	Alias
	seen bool
}

func (c *call) has(f flag) bool { return c.flags&f != 0 }

func (c *call) extra() *more {
	if c.more == nil {
		c.more = &more{}
	}
	return c.more
}

func (c *call) isSent(id SpanID) bool {
	if c.more == nil {
		return false
	}
	for _, one := range c.more.sent {
		if one == id {
			return true
		}
	}
	return false
}

// roots is how many roots of the call are known.
func (c *call) roots() int {
	if c.more == nil {
		return 0
	}
	return len(c.more.held) + len(c.more.sent)
}

// isPartial says whether spans of the call may be missing here.
func (c *call) isPartial() bool {
	if c.has(missed) || c.has(announced) && !c.has(sawStart) {
		return true
	}
	return len(c.unseen()) > 0
}

// unseen are the parts of the call that have another trace id and did not come here.
func (c *call) unseen() []Alias {
	if c.more == nil {
		return nil
	}
	var links []Alias
	for _, one := range c.more.aliases {
		if !one.seen {
			links = append(links, one.Alias)
		}
	}
	return links
}

// size is the memory of a call in bytes, its places in map and heap included.
func (c *call) size() int {
	const itself, inMap, inMore = 176, 52, 112
	size := itself + inMap + c.state.Size()
	if c.more != nil {
		size += inMore
		for _, root := range c.more.held {
			size += len(root.Payload)
		}
	}
	return size
}

// dueHeap has the calls of a shard, the one that is to be looked at soonest first. A span that comes does not move its
// call: one that is looked at too soon is put back.
type dueHeap []*call

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j)
}

// Push is container/heap's.
func (h *dueHeap) Push(x any) {
	c := x.(*call)
	c.index = int32(len(*h))
	*h = append(*h, c)
}

// Pop is container/heap's.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}
