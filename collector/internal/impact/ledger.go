package impact

const (
	fidelityWhat = "fidelity"
	bestMOS      = 4.5  // G.107 Annex B
	noiseNs      = 1e-3 // ns; what is less came from rounding in the sums
)

// entry is one charge over one stretch of time.
type entry struct {
	start, end uint64
	lost       float64 // ns charged, at most the length
	hasValue   bool
	value      float64 // what was bad about it: percent, ms, s, or ie
	span       *fact   // that says so, nil for none
}

// item is what one layer is charged for.
type item struct {
	layer   layer
	what    string
	entries []entry // in order of time
	lost    float64 // ns
	worst   *entry
}

// ledger has the sums of a call, in ns.
type ledger struct {
	items        []*item
	charges      [layers]float64
	felt         map[string]float64
	lost         float64
	staffedLost  float64
	conversation uint64
	dead         uint64 // conversation outside lost waits with a dead direction
	measured     uint64 // conversation outside lost waits that has figures
	mos          float64
	worstMOS     float64
	unheard      [directions]float64 // quality lost in each direction alone
}

func (l *ledger) charge(to layer, what string, one entry) {
	l.charges[to] += one.lost
	if one.lost > noiseNs { // what was taken by others before is no evidence
		l.note(to, what, one)
	}
}

func (l *ledger) note(to layer, what string, one entry) {
	for _, known := range l.items {
		if known.layer == to && known.what == what {
			known.entries = append(known.entries, one)
			return
		}
	}
	l.items = append(l.items, &item{layer: to, what: what, entries: []entry{one}})
}

// account charges every piece: waits, then quality, handoffs by start, outcome, each of what is left.
func account(c *call, lost *rework) *ledger {
	l := &ledger{felt: map[string]float64{}, worstMOS: bestMOS}
	symptoms := c.p.table("felt.symptoms")
	pieces(c, lost, func(one piece) { l.add(&one, lost, symptoms) })
	return l
}

func (l *ledger) add(one *piece, lost *rework, symptoms map[string]string) {
	length, s := one.end-one.start, one.segment
	if s.talking {
		l.conversation += length
	}
	left := float64(length)
	if len(s.waits) > 0 {
		left = 0
		l.addWaits(one, symptoms)
	} else {
		if q := one.quality; q != nil && s.talking {
			l.measured += length
			l.mos += float64(q.mos * float64(length))
			l.worstMOS = min(l.worstMOS, q.mos)
			if q.isDead {
				l.dead += length
			}
			if q.lost > 0 {
				left -= l.addQuality(one)
			}
		}
		if len(s.handoffs) > 0 {
			left = l.addHandoffs(one, left, symptoms[fidelityWhat])
		}
		if s.reworked && lost != nil {
			l.charge(lost.layer, lost.outcome.String(), entry{one.start, one.end, left, false, 0, lost.span})
			left = 0
		}
	}
	taken := float64(length) - left
	l.lost += taken
	if s.staffed {
		l.staffedLost += taken
	}
}

// addWaits has each layer bear the same part of the instant, and its waits the same part of that.
func (l *ledger) addWaits(one *piece, symptoms map[string]string) {
	var byLayer [layers]int
	count := 0
	for i := range one.segment.waits {
		wait := &one.segment.waits[i]
		if byLayer[wait.layer] == 0 {
			count++
		}
		byLayer[wait.layer] += wait.count
	}
	for i := range one.segment.waits {
		wait := &one.segment.waits[i]
		lost := float64(one.end-one.start) * float64(wait.count) / float64(count*byLayer[wait.layer])
		seconds := float64(wait.longest.length) / 1e9
		l.charge(wait.layer, wait.activity.String(), entry{one.start, one.end, lost, true, seconds, wait.longest.span})
		l.felt[symptoms[wait.activity.String()]] += lost
	}
}

// addHandoffs has every handoff that makes the piece to be repeated take its share of what is left, and gives back what
// is left after all. They are one entry, for there may be thousands: its span is that of the worst handoff.
func (l *ledger) addHandoffs(one *piece, left float64, symptom string) float64 {
	worst := entry{start: one.start, end: one.end, hasValue: true}
	taken, noted := 0.0, 0.0
	for _, handoff := range one.segment.handoffs {
		share := 1 - handoff.fidelity
		its := float64(left * share)
		left -= its
		taken += its
		if its <= noiseNs {
			continue
		}
		noted += its
		next := entry{start: one.start, end: one.end, hasValue: true, value: 100 * share, span: handoff}
		if worst.span == nil || isWorseEntry(&next, &worst) {
			worst = next
		}
	}
	l.charges[handoffLayer] += taken
	l.felt[symptom] += taken
	if worst.span != nil {
		worst.lost = noted
		l.note(handoffLayer, fidelityWhat, worst)
	}
	return left
}

// addQuality charges what bad audio cost, and gives it back.
func (l *ledger) addQuality(one *piece) float64 {
	length, q := float64(one.end-one.start), one.quality
	for i := range q.charges {
		part := &q.charges[i]
		l.charge(part.layer, part.what.String(), entry{
			one.start, one.end, float64(part.share * length), true, part.from.value, part.from.span,
		})
	}
	l.felt[q.felt] += float64(q.lost * length)
	for direction := range l.unheard {
		l.unheard[direction] += float64(q.directions[direction] * length)
	}
	return float64(q.lost * length)
}
