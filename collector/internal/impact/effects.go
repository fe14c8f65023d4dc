package impact

// numbers are what a leg, or a layer, does to a direction: share that arrives, delay in ms, ie.
type numbers struct{ kept, delay, ie float64 }

var unharmed = numbers{kept: 1}

// metric is what a quality charge is called.
type metric uint8

const (
	lossMetric metric = iota
	delayMetric
	ieMetric
	metrics
)

var metricNames = [metrics]string{"loss", "delay", "ie"}

func (m metric) String() string { return metricNames[m] }

// source is a figure and the span that says so; of a path figure the residual.
type source struct {
	value float64
	span  *fact
}

// isWorse says whether a figure goes before a known one: larger, then the span that began first.
func (s source) isWorse(known source) bool {
	if known.span == nil || s.value != known.value {
		return known.span == nil || s.value > known.value
	}
	return s.span.before(known.span)
}

func (f *fact) before(other *fact) bool {
	if f.start != other.start {
		return f.start < other.start
	}
	if f.id != other.id {
		return f.id < other.id
	}
	return string(f.trace[:]) < string(other.trace[:])
}

// effect is what a layer does to an instant's audio.
type effect struct {
	does    [directions]numbers
	sources [metrics]source // the worst single figure, of both directions
}

func newEffect() effect { return effect{does: [directions]numbers{unharmed, unharmed}} }

func (e *effect) harms() bool { return e.does[toAgent] != unharmed || e.does[toCustomer] != unharmed }

// add combines another hop figure, residual or ie of the same layer.
func (e *effect) add(direction int, m metric, from source) {
	does := &e.does[direction]
	switch m {
	case lossMetric:
		does.kept *= 1 - from.value/100
	case delayMetric:
		does.delay += from.value
	default:
		does.ie += from.value
	}
	if from.isWorse(e.sources[m]) {
		e.sources[m] = from
	}
}

// effectOf is what a leg does that is alone in its layer, as a hop.
func effectOf(span *fact, now *figures) effect {
	e := newEffect()
	for direction := range directions {
		for m := lossMetric; m <= delayMetric; m++ {
			if value := now[2*direction+int(m)]; value != notMeasured {
				e.add(direction, m, source{value, span})
			}
		}
		if ie := span.leg.ie[direction]; ie > 0 && now.isMeasured(direction) {
			e.add(direction, ieMetric, source{ie, span})
		}
	}
	return e
}

// named gives the metric whose worst figure lowers R most alone.
func (e *effect) named(bpl float64) metric {
	kept := min(e.does[toAgent].kept, e.does[toCustomer].kept)
	delay := max(e.does[toAgent].delay, e.does[toCustomer].delay)
	ie := max(e.does[toAgent].ie, e.does[toCustomer].ie)
	least, name := 0.0, metrics
	consider := func(r float64, m metric) {
		if name == metrics || r < least {
			least, name = r, m
		}
	}
	if kept < 1 {
		consider(rating(kept, 0, 0, bpl), lossMetric)
	}
	if delay > 0 {
		consider(byDelay(delay), delayMetric)
	}
	if ie > 0 {
		consider(bestR-min(ie, worstIe), ieMetric)
	}
	return name
}

// cell is what all layers do at an instant; present has those that any leg speaks of.
type cell struct {
	effects [cellLayers]effect
	present [cellLayers]bool
}

func (c *cell) of(l layer) *effect {
	place := l.inCell()
	if !c.present[place] {
		c.present[place] = true
		c.effects[place] = newEffect()
	}
	return &c.effects[place]
}

// legNow is a leg with the figures it has at an instant.
type legNow struct {
	span    *fact
	figures *figures
}

// resolve turns legs into layers: of one layer's legs the largest figures, of path figures the residuals.
func resolve(legs []legNow, gone *[layers]bool, isAI bool) (c cell) {
	line := lineHuman
	if isAI {
		line = lineAI
	}
	for direction := range directions {
		for m := lossMetric; m <= delayMetric; m++ {
			c.addFigures(legs, line, direction, m, gone)
		}
		c.addIe(legs, direction)
	}
	return c
}

func (c *cell) addFigures(legs []legNow, line []layer, direction int, m metric, gone *[layers]bool) {
	var hops, paths [mediaLayers]source
	anyPath := false
	for _, one := range legs {
		value := one.figures[2*direction+int(m)]
		if value == notMeasured {
			continue
		}
		table := &hops
		if one.span.leg.isPath && isOn(line, one.span.layer) {
			table, anyPath = &paths, true
		}
		if from := (source{value, one.span}); from.isWorse(table[one.span.layer]) {
			table[one.span.layer] = from
		}
	}
	for l, from := range hops {
		if from.span != nil {
			c.of(layer(l)).add(direction, m, from)
		}
	}
	if anyPath {
		c.addResiduals(line, direction, m, &hops, &paths, gone)
	}
}

func isOn(line []layer, l layer) bool {
	for _, one := range line {
		if one == l {
			return true
		}
	}
	return false
}

// addResiduals adds what a path leg saw beyond all that is known before it, walking down the line.
func (c *cell) addResiduals(
	line []layer, direction int, m metric, hops, paths *[mediaLayers]source, gone *[layers]bool,
) {
	known := 0.0 // delay up to here, or the share that arrived
	if m == lossMetric {
		known = 1
	}
	blind := false
	for i := range line {
		l := line[i]
		if direction == toCustomer {
			l = line[len(line)-1-i]
		}
		hop, path := hops[l], paths[l]
		if hop.span != nil {
			if m == lossMetric {
				known *= 1 - hop.value/100
			} else {
				known += hop.value
			}
		}
		if path.span == nil {
			if hop.span == nil && gone[l] {
				blind = true
			}
			continue
		}
		residual := max(0, path.value-known)
		if m == lossMetric {
			share := 0.0
			if known > 0 {
				share = 1 - (1-path.value/100)/known
			}
			residual = 100 * max(0, share)
			known *= 1 - residual/100
		} else {
			known += residual
		}
		charged := l
		if blind {
			charged = unobserved
		}
		c.of(charged).add(direction, m, source{residual, path.span})
		blind = false
	}
}

// addIe adds the largest ie of each layer's legs that have a figure of the direction.
func (c *cell) addIe(legs []legNow, direction int) {
	var worst [mediaLayers]source
	for _, one := range legs {
		ie := one.span.leg.ie[direction]
		if ie > 0 && one.figures.isMeasured(direction) {
			if from := (source{ie, one.span}); from.isWorse(worst[one.span.layer]) {
				worst[one.span.layer] = from
			}
		}
	}
	for l, from := range worst {
		if from.span != nil {
			c.of(layer(l)).add(direction, ieMetric, from)
		}
	}
}
