package cximpactconnector

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// overflowAttribute marks the series that has what is past the limit, as OpenTelemetry's metrics SDK does.
const overflowAttribute = "otel.metric.overflow"

// overflowKey is no key that values make: a length whose first byte says that there is a second.
const overflowKey = "\xff"

// shape is what a family's points are.
type shape int

const (
	counted shape = iota // a sum of whole numbers
	summed               // a sum of seconds
	spread               // a histogram
)

// family is one metric: cumulative series, told apart by the values of its attributes.
type family struct {
	name, unit, description string
	shape                   shape
	attributes              []string
	bounds                  []float64 // of a histogram
	limits                  limits
	series                  map[string]*series
	key                     []byte // of the last add
}

// limits are bounds that all families share.
type limits struct {
	series     int
	exemplars  int
	expiration pcommon.Timestamp // ns without news; 0 is never
}

// series is what one set of values has come to since start.
type series struct {
	values    []string
	start     pcommon.Timestamp
	news      pcommon.Timestamp
	told      bool // it was sent once, as 0
	overflow  bool
	count     uint64
	sum       float64
	buckets   []uint64
	exemplars exemplars
}

// add counts an amount, and says whether it went into the overflow series. An absent value is empty.
func (f *family) add(now pcommon.Timestamp, amount float64, from origin, values []string) (overflowed bool) {
	s, overflowed := f.find(now, values)
	s.news = now
	s.count++
	s.sum += amount
	worse := cmp.Compare[float64]
	if f.shape == spread {
		place, _ := slices.BinarySearch(f.bounds, amount) // bounds are inclusive
		s.buckets[place]++
		worse = func(a, b float64) int { return cmp.Compare(b, a) } // of a MOS the lower
	}
	s.exemplars.offer(exemplar{from, amount, now}, f.limits.exemplars, worse)
	return overflowed
}

func (f *family) find(now pcommon.Timestamp, values []string) (found *series, overflowed bool) {
	f.key = f.key[:0]
	for _, value := range values {
		f.key = binary.AppendUvarint(f.key, uint64(len(value)))
		f.key = append(f.key, value...)
	}
	if s, is := f.series[string(f.key)]; is {
		return s, false
	}
	own := len(f.series)
	overflow, has := f.series[overflowKey]
	if has {
		own--
	}
	if own < f.limits.series-1 {
		return f.begin(string(f.key), now, slices.Clone(values)), false
	}
	if !has {
		overflow = f.begin(overflowKey, now, nil)
		overflow.overflow = true
	}
	return overflow, true
}

func (f *family) begin(key string, now pcommon.Timestamp, values []string) *series {
	s := &series{values: values, start: now}
	if f.shape == spread {
		s.buckets = make([]uint64, len(f.bounds)+1)
	}
	f.series[key] = s
	return s
}

// atZero is the series as it was before its first value.
func (s *series) atZero() *series {
	return &series{values: s.values, start: s.start, overflow: s.overflow, buckets: make([]uint64, len(s.buckets))}
}

// write adds the metric with all its series, gives those that it tells for the first time, as 0, and says how many
// it forgot. The last time, all are written with their values.
func (f *family) write(into pmetric.MetricSlice, now pcommon.Timestamp, last bool) (first []*series, forgot int) {
	if len(f.series) == 0 {
		return nil, 0
	}
	points := f.describe(into.AppendEmpty())
	var gone []*series
	for _, key := range slices.Sorted(maps.Keys(f.series)) {
		s := f.series[key]
		switch {
		case f.limits.expiration > 0 && now-s.news >= f.limits.expiration && !last:
			gone = append(gone, s)
			delete(f.series, key)
		case !s.told && !last:
			points.add(f, s.atZero(), now)
			first = append(first, s)
		default:
			points.add(f, s, now)
		}
	}
	// Behind all others, as the Prometheus exporter reads no further in a metric.
	for _, s := range gone {
		points.end(f, s, now)
	}
	return first, len(gone)
}

// points are the points of a metric of either kind.
type points struct {
	numbers    pmetric.NumberDataPointSlice
	histograms pmetric.HistogramDataPointSlice
}

func (f *family) describe(metric pmetric.Metric) points {
	metric.SetName(f.name)
	metric.SetUnit(f.unit)
	metric.SetDescription(f.description)
	if f.shape == spread {
		histogram := metric.SetEmptyHistogram()
		histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		histogram.DataPoints().EnsureCapacity(len(f.series))
		return points{histograms: histogram.DataPoints()}
	}
	sum := metric.SetEmptySum()
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.SetIsMonotonic(true)
	sum.DataPoints().EnsureCapacity(len(f.series))
	return points{numbers: sum.DataPoints()}
}

func (p points) add(f *family, s *series, now pcommon.Timestamp) {
	if f.shape == spread {
		point := p.histograms.AppendEmpty()
		point.SetStartTimestamp(s.start)
		point.SetTimestamp(now)
		f.writeAttributes(point.Attributes(), s)
		point.SetCount(s.count)
		point.SetSum(s.sum)
		point.ExplicitBounds().FromRaw(f.bounds)
		point.BucketCounts().FromRaw(s.buckets)
		s.exemplars.write(point.Exemplars())
		return
	}
	point := p.numbers.AppendEmpty()
	point.SetStartTimestamp(s.start)
	point.SetTimestamp(now)
	f.writeAttributes(point.Attributes(), s)
	if f.shape == counted {
		point.SetIntValue(int64(s.count))
	} else {
		point.SetDoubleValue(s.sum)
	}
	s.exemplars.write(point.Exemplars())
}

// end says that a series is not kept any more.
func (p points) end(f *family, s *series, now pcommon.Timestamp) {
	flags := pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)
	if f.shape == spread {
		point := p.histograms.AppendEmpty()
		point.SetStartTimestamp(s.start)
		point.SetTimestamp(now)
		point.SetFlags(flags)
		f.writeAttributes(point.Attributes(), s)
		return
	}
	point := p.numbers.AppendEmpty()
	point.SetStartTimestamp(s.start)
	point.SetTimestamp(now)
	point.SetFlags(flags)
	f.writeAttributes(point.Attributes(), s)
}

func (f *family) writeAttributes(into pcommon.Map, s *series) {
	if s.overflow {
		into.PutBool(overflowAttribute, true)
		return
	}
	into.EnsureCapacity(len(s.values))
	for i, value := range s.values {
		if value != "" {
			into.PutStr(f.attributes[i], value)
		}
	}
}
