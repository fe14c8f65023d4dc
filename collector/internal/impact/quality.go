package impact

import (
	"math/bits"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

const noiseShare = 1e-12 // what is smaller came from rounding in the sums

// charge is a layer's part of a cell's lost share.
type charge struct {
	layer layer
	what  metric
	share float64 // of the instant
	from  source
}

// quality is a cell judged.
type quality struct {
	r          [directions]float64
	mos        float64 // of the worse direction, narrowband
	isDead     bool    // whether either direction loses as good as all
	lost       float64 // share of the instant
	felt       string
	directions [directions]float64 // share lost in each direction alone
	charges    []charge            // sum up to lost
}

// judgeCell judges what the audio of one cell costs.
func judgeCell(c *cell, p *Parameters, charges []charge) quality {
	var sum [directions]numbers
	sum[toAgent], sum[toCustomer] = unharmed, unharmed
	for place := range c.effects {
		if !c.present[place] {
			continue
		}
		for direction := range sum {
			does := &c.effects[place].does[direction]
			sum[direction].kept *= does.kept
			sum[direction].delay += does.delay
			sum[direction].ie += does.ie
		}
	}
	var q quality
	for direction := range sum {
		one := &sum[direction]
		q.r[direction] = rating(one.kept, one.delay, one.ie, p.bpl)
	}
	worse := min(q.r[toAgent], q.r[toCustomer])
	q.mos = meanOpinion(worse)
	dead := [directions]bool{sum[toAgent].kept <= p.alive, sum[toCustomer].kept <= p.alive}
	q.isDead = dead[toAgent] || dead[toCustomer]
	if worse >= p.satisfiedR {
		return q
	}
	q.charges = charges[:0]
	attribute(&q, c, p)
	switch {
	case dead[toAgent] && dead[toCustomer]:
		q.felt = spec.CxImpactFeltNoAudio
	case q.isDead:
		q.felt = spec.CxImpactFeltOneWayAudio
	case q.r[toAgent] <= q.r[toCustomer]:
		q.felt = symptom(&sum[toAgent], p)
	default:
		q.felt = symptom(&sum[toCustomer], p)
	}
	return q
}

// symptom is what the people would say of a direction that is not dead (impact model, section 4).
func symptom(worse *numbers, p *Parameters) string {
	if rating(worse.kept, 0, worse.ie, p.bpl) <= byDelay(worse.delay) {
		return spec.CxImpactFeltChoppyAudio
	}
	return spec.CxImpactFeltTalkOver
}

// attribute charges every layer with its Shapley value of the lost share.
func attribute(q *quality, c *cell, p *Parameters) {
	var players [cellLayers]int
	count := 0
	for place := range c.effects {
		if c.present[place] && c.effects[place].harms() {
			players[count] = place
			count++
		}
	}
	var lost [directions][1 << cellLayers]float64
	for direction := range lost {
		lostBySubset(c, players[:count], direction, q.r[direction], p, &lost[direction])
	}
	subsets := 1 << count
	var worth [1 << cellLayers]float64
	for i := range subsets {
		worth[i] = 1 - float64((1-lost[toAgent][i])*(1-lost[toCustomer][i]))
	}
	q.directions = [directions]float64{lost[toAgent][subsets-1], lost[toCustomer][subsets-1]}
	q.lost = worth[subsets-1]
	for player := range count {
		share := 0.0
		for subset := range subsets {
			share += float64(shapleyWeights[count][player][subset] * worth[subset])
		}
		if share <= noiseShare {
			continue
		}
		one := &c.effects[players[player]]
		what := one.named(p.bpl)
		q.charges = append(q.charges, charge{layerInCell(players[player]), what, share, one.sources[what]})
	}
}

// lostBySubset is the share lost in one direction to every subset of the players; bit i of the index stands for
// player i. r is R with all of them; where it satisfies, that of no subset is worse.
func lostBySubset(c *cell, players []int, direction int, r float64, p *Parameters, lost *[1 << cellLayers]float64) {
	if r >= p.satisfiedR {
		return
	}
	var subset [1 << cellLayers]numbers
	subset[0] = unharmed
	for i, place := range players {
		does := &c.effects[place].does[direction]
		for j := range 1 << i {
			before := &subset[j]
			subset[1<<i|j] = numbers{does.kept * before.kept, does.delay + before.delay, does.ie + before.ie}
		}
	}
	for i := range 1 << len(players) {
		if r := rating(subset[i].kept, subset[i].delay, subset[i].ie, p.bpl); r < p.satisfiedR {
			lost[i] = (p.good - goodOrBetter(r)) / p.good
		}
	}
}

// shapleyWeights has, by number of players and player, the weight of every subset's worth: a subset S without the
// player counts -|S|! (n - |S| - 1)! / n!, joined by the player as much, positive.
var shapleyWeights = func() (weights [cellLayers + 1][][]float64) {
	factorial := [cellLayers + 1]float64{1}
	for n := 1; n <= cellLayers; n++ {
		factorial[n] = float64(n) * factorial[n-1]
	}
	for n := 1; n <= cellLayers; n++ {
		for player := range n {
			row := make([]float64, 1<<n)
			for subset := range row {
				joined := subset >> player & 1
				size := bits.OnesCount(uint(subset)) - joined
				row[subset] = factorial[size] * factorial[n-size-1] / factorial[n]
				if joined == 0 {
					row[subset] = -row[subset]
				}
			}
			weights[n] = append(weights[n], row)
		}
	}
	return weights
}()
