package cximpactconnector

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// inQueue is a root of one queue, so that each queue is a series.
func inQueue(queue int) given {
	return stamped.with(attributes{"cx.queue.name": fmt.Sprint(queue)})
}

func TestWhatIsPastTheLimitGoesIntoOneSeries(t *testing.T) {
	config := defaults()
	config.Dimensions = []Dimension{{Name: "cx.queue.name"}}
	config.CardinalityLimit = 3
	c := newCounting(t, config)
	for queue := range 5 {
		c.send(inQueue(queue), inQueue(0))
	}
	got := c.values()
	assert.Equal(t, []string{
		"cx.call.time{cx.queue.name=0} 1800", "cx.call.time{cx.queue.name=1} 300", "cx.call.time{otel.metric.overflow=true} 900",
	}, of("cx.call.time", got))
	// Two layers are charged, so that its limit is reached by the first queue.
	assert.Equal(t, []string{
		"cx.impact.lost{cx.layer=carrier,cx.owner=Acme Telecom,cx.impact.severity=moderate,cx.queue.name=0} 250.2",
		"cx.impact.lost{cx.layer=agent_network,cx.impact.severity=moderate,cx.queue.name=0} 51.66",
		"cx.impact.lost{otel.metric.overflow=true} 201.24",
	}, of("cx.impact.lost", got))
	overflows := ownCounts(t, c.own, "otelcol_connector_cx_impact_overflows")
	assert.Equal(t, int64(3), overflows["cx.call.time"])
	assert.Equal(t, int64(8), overflows["cx.impact.lost"])
	assert.Equal(t, int64(3), ownCounts(t, c.own, "otelcol_connector_cx_impact_series")["cx.call.time"])
}

func TestValuesThatReadAlikeAreDifferentSeries(t *testing.T) {
	config := defaults()
	config.Dimensions = []Dimension{{Name: "a"}, {Name: "b"}}
	c := newCounting(t, config)
	root := given{name: stamped.name, attributes: stamped.attributes}
	c.send(root.with(attributes{"a": "x", "b": "yx"}), root.with(attributes{"a": "xy", "b": "x"}), root.with(attributes{"a": "xyx"}))
	assert.Len(t, of("cx.call.time", c.values()), 3)
}

func TestSeriesWithoutNewsAreForgottenAndMakeRoom(t *testing.T) {
	config := defaults()
	config.Dimensions = []Dimension{{Name: "cx.queue.name"}}
	config.SeriesExpiration = time.Hour
	config.CardinalityLimit = 2
	c := newCounting(t, config)
	c.send(inQueue(0), inQueue(1))
	c.pass(time.Minute)
	c.pass(57 * time.Minute)
	c.send(inQueue(1)) // into the overflow series
	assert.Equal(t, []string{"cx.call.time{cx.queue.name=0} 300", "cx.call.time{otel.metric.overflow=true} 600"},
		of("cx.call.time", c.pass(time.Minute)))
	assert.Equal(t, []string{"cx.call.time{otel.metric.overflow=true} 600", "cx.call.time{cx.queue.name=0} end"},
		of("cx.call.time", c.pass(time.Minute)), "the end stands last")
	assert.Contains(t, c.pass(time.Minute), "cx.call.time{otel.metric.overflow=true} 600")
	c.send(inQueue(0))
	assert.Equal(t, []string{"cx.call.time{cx.queue.name=0} 0", "cx.call.time{otel.metric.overflow=true} 600"},
		of("cx.call.time", c.pass(time.Minute)), "one that comes again begins anew")
	assert.Equal(t, int64(1), ownCounts(t, c.own, "otelcol_connector_cx_impact_expired_series")["cx.call.time"])
}

func TestAHistogramEndsToo(t *testing.T) {
	config := defaults()
	config.SeriesExpiration = time.Hour
	c := newCounting(t, config)
	c.send(stamped)
	c.pass(time.Minute)
	assert.Equal(t, []string{"cx.call.mos{" + dimensionsOfStamped + "} end"}, of("cx.call.mos", c.pass(time.Hour)))
	assert.Empty(t, c.pass(time.Minute))
}

func TestSeriesCanBeKeptForEver(t *testing.T) {
	config := defaults()
	config.SeriesExpiration = 0
	c := newCounting(t, config)
	c.send(stamped)
	c.pass(time.Minute)
	assert.Contains(t, c.pass(1e4*time.Hour), "cx.call.time{"+dimensionsOfStamped+"} 300")
}

// told are the values of the exemplars that a metric was sent with.
func (c *counting) told(name string) []float64 {
	var all []float64
	for _, metric := range c.sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if metric.Name() != name {
			continue
		}
		var exemplars pmetric.ExemplarSlice
		if metric.Type() == pmetric.MetricTypeHistogram {
			exemplars = metric.Histogram().DataPoints().At(0).Exemplars()
		} else {
			exemplars = metric.Sum().DataPoints().At(0).Exemplars()
		}
		for _, one := range exemplars.All() {
			all = append(all, one.DoubleValue())
		}
	}
	return all
}

func charged(id byte, seconds, mos float64) given {
	one := stamped.with(attributes{
		"cx.impact.charge.carrier": seconds, "cx.impact.charge.agent_network": nil, "cx.media.mos.mean": mos,
	})
	one.id = id
	return one
}

func TestExemplarsLeadToTheCallsThatLostMost(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(charged(1, 5, 3), charged(2, 80, 2), charged(3, 1, 4), charged(4, 20, 2.5), charged(5, 2, 4.1))
	c.values()
	assert.Equal(t, []float64{20, 80}, c.told("cx.impact.lost"), "the worst stands last")
	assert.Equal(t, []float64{2.5, 2}, c.told("cx.call.mos"))
	exemplar := c.sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().
		DataPoints().At(0).Exemplars().At(1)
	assert.Equal(t, pcommon.TraceID{15: 5}, exemplar.TraceID(), "of calls that count the same, the newest")
	assert.Equal(t, pcommon.SpanID{7: 6}, exemplar.SpanID())
	assert.Equal(t, epoch, exemplar.Timestamp())
}

func TestExemplarsAreSentUntilThereAreNewerOnes(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(charged(1, 80, 2))
	c.pass(time.Minute)
	assert.Empty(t, c.told("cx.impact.lost"), "zero has none")
	for range 2 {
		c.pass(time.Minute)
		assert.Equal(t, []float64{80}, c.told("cx.impact.lost"))
	}
	c.send(charged(2, 3, 4))
	for range 2 {
		c.pass(time.Minute)
		assert.Equal(t, []float64{3}, c.told("cx.impact.lost"))
	}
}

func TestExemplarsCanBeOff(t *testing.T) {
	config := defaults()
	config.ExemplarsPerSeries = 0
	c := newCounting(t, config)
	c.send(stamped)
	c.values()
	assert.Empty(t, c.told("cx.impact.lost"))
}

func TestABucketHasItsUpperBound(t *testing.T) {
	config := defaults()
	config.MosBuckets = []float64{2, 3}
	config.Dimensions = nil
	c := newCounting(t, config)
	for i, mos := range []float64{1, 2, 2.01, 3, 3.01, 4.5} {
		c.send(charged(byte(i), 1, mos))
	}
	assert.Equal(t, []string{"cx.call.mos{} 6 15.52 [2 2 2]"}, of("cx.call.mos", c.values()))
}

func FuzzExemplarsAreTheWorst(f *testing.F) {
	f.Add([]byte{3, 1, 2}, uint8(2))
	f.Fuzz(func(t *testing.T, values []byte, most uint8) {
		most %= 17
		var kept exemplars
		for _, value := range values {
			kept.offer(exemplar{value: float64(value)}, int(most), func(a, b float64) int { return int(a - b) })
		}
		slices.Sort(values)
		want := []float64{}
		for _, value := range values[max(0, len(values)-int(most)):] {
			want = append(want, float64(value))
		}
		got := []float64{}
		for _, one := range kept.fresh {
			got = append(got, one.value)
		}
		assert.Equal(t, want, got)
	})
}
