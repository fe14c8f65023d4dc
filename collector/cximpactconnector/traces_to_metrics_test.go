package cximpactconnector

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/cxotel/cxotel/collector/cximpactconnector/internal/metadata"
)

func TestAVerdictIsCountedOnceAndItsSecondsByLayer(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(stamped)
	c.send(stamped.with(attributes{"cx.impact.charge.carrier": 0.3}))
	want := []string{
		"cx.calls{cx.call.outcome=completed,cx.impact.severity=moderate," + dimensionsOfStamped + "} 2",
		"cx.call.time{" + dimensionsOfStamped + "} 600",
		"cx.call.mos{" + dimensionsOfStamped + "} 2 6.84 [0 0 0 0 0 2 0 0 0 0 0]",
		"cx.impact.lost{cx.layer=carrier,cx.owner=Acme Telecom,cx.impact.severity=moderate," + dimensionsOfStamped + "} 42",
		"cx.impact.lost{cx.layer=agent_network,cx.impact.severity=moderate," + dimensionsOfStamped + "} 17.22",
		"cx.impact.unmeasured{cx.layer=endpoint," + dimensionsOfStamped + "} 2",
	}
	got := c.values()
	assert.ElementsMatch(t, want, got)
	assert.Equal(t, map[string]int64{"verdict": 2}, ownCounts(t, c.own, "otelcol_connector_cx_impact_read_spans"))
	assert.Empty(t, badValues(t, c.own))
}

func TestACallThatLostNothingIsACallAndNoMore(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(given{id: 1, name: "call outbound", attributes: attributes{
		"cx.layer": "call", "cx.impact.model": "1", "cx.impact.severity": "none",
	}})
	assert.Equal(t, []string{"cx.calls{cx.impact.severity=none} 1", "cx.call.time{} 300"}, c.values())
}

func TestPartialVerdictsAreCountedApart(t *testing.T) {
	for name, span := range map[string]given{
		"a root that says so":             stamped.with(attributes{"cx.impact.partial": true}),
		"a root that says it unreadably":  stamped.with(attributes{"cx.impact.partial": "no"}),
		"a call whose root did not come":  judged(2, "call (partial)"),
		"the same, with a flag that errs": judged(2, "call (partial)").with(attributes{"cx.impact.partial": false}),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t, defaults())
			c.send(span)
			got := c.values()
			assert.Len(t, of("cx.partial_calls", got), 1)
			assert.Len(t, of("cx.impact.partial_lost", got), 2)
			assert.Len(t, got, 3)
		})
	}
}

func TestCorrectionsAreCountedAndTakeNothingBack(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(stamped)
	before := c.values()
	c.send(judged(3, "impact correction").with(attributes{
		"cx.impact.charge.carrier": nil, "cx.impact.severity": "minor", "cx.impact.layer": "agent_network",
	}))
	got := c.values()
	assert.Subset(t, got, before)
	assert.Len(t, got, len(before)+2)
	dimensions := "cx.queue.name=billing,cx.carrier.name=Acme,cx.partner=BPO North"
	assert.Contains(t, got, "cx.impact.corrections{cx.impact.severity=minor,"+dimensions+"} 1")
	assert.Contains(t, got, "cx.impact.corrected_lost{cx.layer=agent_network,cx.owner=Acme Telecom,cx.impact.severity=minor,"+
		dimensions+"} 8.61")
}

func TestWarningsAreCountedByLayerAndOwner(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(warningSpan, warningSpan, warningSpan.with(attributes{"cx.warning.owner": nil}))
	assert.Equal(t, []string{
		"cx.impact.warnings{cx.layer=agent_network,cx.warning.what=loss} 1",
		"cx.impact.warnings{cx.layer=agent_network,cx.warning.what=loss,cx.owner=BPO North} 2",
	}, c.values())
}

// ignored are spans that say nothing here.
var ignored = map[string]given{
	"a root that was not judged":         stamped.with(attributes{"cx.impact.model": nil}),
	"a root's name on another layer":     stamped.with(attributes{"cx.layer": "carrier"}),
	"a root's name without a layer":      stamped.with(attributes{"cx.layer": nil}),
	"a root's name, layer no string":     stamped.with(attributes{"cx.layer": 1}),
	"a verdict on another span":          {id: 1, name: "queue", attributes: stamped.attributes},
	"a root in the judge's scope":        {id: 1, scope: judgeScope, name: "call inbound", attributes: stamped.attributes},
	"the judge's name in another scope":  {id: 1, scope: "other", name: "call (partial)", attributes: stamped.attributes},
	"evidence":                           {id: 1, scope: judgeScope, name: "carrier loss", attributes: attributes{"cx.evidence.seconds": 3.0}},
	"a partial call without a verdict":   {id: 1, scope: judgeScope, name: "call (partial)"},
	"a correction without a new verdict": {id: 1, scope: judgeScope, name: "impact correction"},
}

func TestOtherSpansAreIgnored(t *testing.T) {
	for name, span := range ignored {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t, defaults())
			c.send(span)
			assert.Empty(t, c.values())
			assert.Empty(t, badValues(t, c.own))
		})
	}
}

func TestBadValuesAreSkippedAndCountedAndTheRestIsNotLost(t *testing.T) {
	whole := func() []string {
		c := newCounting(t, defaults())
		c.send(stamped)
		return c.values()
	}()
	for name, one := range map[string]struct {
		changes attributes
		bad     string
		lost    int // lines that are gone or differ
	}{
		"seconds that are text":      {attributes{"cx.impact.charge.carrier": "41.7"}, "cx.impact.charge", 1},
		"seconds that are no number": {attributes{"cx.impact.charge.carrier": math.NaN()}, "cx.impact.charge", 1},
		"endless seconds":            {attributes{"cx.impact.charge.carrier": math.Inf(1)}, "cx.impact.charge", 1},
		"negative seconds":           {attributes{"cx.impact.charge.carrier": -0.1}, "cx.impact.charge", 1},
		"absurd seconds":             {attributes{"cx.impact.charge.carrier": 1.1e7}, "cx.impact.charge", 1},
		"an unknown layer charged":   {attributes{"cx.impact.charge.moon": 3.0}, "cx.impact.charge", 0},
		"the call charged":           {attributes{"cx.impact.charge.call": 3.0}, "cx.impact.charge", 0},
		"a MOS too low":              {attributes{"cx.media.mos.mean": 0.9}, "cx.media.mos.mean", 1},
		"a MOS too high":             {attributes{"cx.media.mos.mean": 4.6}, "cx.media.mos.mean", 1},
		"an unknown severity":        {attributes{"cx.impact.severity": "awful"}, "cx.impact.severity", 3},
		"an unknown outcome":         {attributes{"cx.call.outcome": "lost"}, "cx.call.outcome", 1},
		"an owner that is a number":  {attributes{"cx.impact.owner": 7}, "cx.impact.owner", 1},
		"an owner that is not text":  {attributes{"cx.impact.owner": "\xff"}, "cx.impact.owner", 1},
		"a very long owner":          {attributes{"cx.impact.owner": string(make([]byte, maxText+1))}, "cx.impact.owner", 1},
		"an unknown first layer":     {attributes{"cx.impact.layer": "moon"}, "cx.impact.layer", 1},
		"blind layers in one text":   {attributes{"cx.impact.unobserved": "endpoint"}, "cx.impact.unobserved", 1},
		"an unknown blind layer":     {attributes{"cx.impact.unobserved": []any{"endpoint", "moon"}}, "cx.impact.unobserved", 0},
		"a blind layer that is none": {attributes{"cx.impact.unobserved": []any{"endpoint", 3}}, "cx.impact.unobserved", 0},
		"a queue that is a list":     {attributes{"cx.queue.name": []any{"a"}}, "cx.queue.name", len(whole)},
		"a very long queue":          {attributes{"cx.queue.name": string(make([]byte, maxText+1))}, "cx.queue.name", len(whole)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t, defaults())
			c.send(stamped.with(one.changes))
			got := c.values()
			kept := 0
			for _, line := range whole {
				if slices.Contains(got, line) {
					kept++
				}
			}
			assert.Equal(t, len(whole)-one.lost, kept, got)
			assert.Len(t, of("cx.calls", got), 1)
			assert.Equal(t, map[string]int64{one.bad: 1}, badValues(t, c.own))
		})
	}
}

func TestATimeThatCannotBeIsSkipped(t *testing.T) {
	c := newCounting(t, defaults())
	td := requestOf(stamped)
	span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	span.SetEndTimestamp(span.StartTimestamp() - 1)
	require.NoError(t, c.ConsumeTraces(context.Background(), td))
	got := c.values()
	assert.Equal(t, []string{"cx.call.time{" + dimensionsOfStamped + "} 0"}, of("cx.call.time", got))
	assert.Len(t, of("cx.calls", got), 1)
	assert.Equal(t, map[string]int64{"span time": 1}, badValues(t, c.own))
}

func TestDimensionsComeFromTheSpanTheResourceOrTheDefault(t *testing.T) {
	config := defaults()
	config.Dimensions = []Dimension{{Name: "cx.site", Default: "nowhere"}, {Name: "tier"}}
	for name, one := range map[string]struct {
		span given
		want string
	}{
		"span":     {stamped.with(attributes{"cx.site": "porto", "tier": 2}), "cx.site=porto,tier=2"},
		"resource": {given{name: stamped.name, attributes: stamped.attributes, resource: attributes{"cx.site": "rome"}}, "cx.site=rome"},
		"default":  {stamped, "cx.site=nowhere"},
		"empty":    {stamped.with(attributes{"cx.site": "", "tier": true}), "cx.site=nowhere,tier=true"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t, config)
			c.send(one.span)
			assert.Equal(t, []string{"cx.call.time{" + one.want + "} 300"}, of("cx.call.time", c.values()))
		})
	}
}

func TestWithoutDimensionsEachMetricKeepsItsOwnAttributes(t *testing.T) {
	config := defaults()
	config.Dimensions = nil
	c := newCounting(t, config)
	c.send(stamped)
	got := c.values()
	assert.Contains(t, got, "cx.call.time{} 300")
	assert.Contains(t, got, "cx.impact.unmeasured{cx.layer=endpoint} 1")
}

func TestANewSeriesIsSentAsZeroFirst(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(stamped)
	first := c.pass(15 * time.Second)
	assert.Contains(t, first, "cx.call.time{"+dimensionsOfStamped+"} 0")
	assert.Contains(t, first, "cx.call.mos{"+dimensionsOfStamped+"} 0 0 [0 0 0 0 0 0 0 0 0 0 0]")
	second := c.pass(15 * time.Second)
	assert.Contains(t, second, "cx.call.time{"+dimensionsOfStamped+"} 300")
	assert.Contains(t, second, "cx.call.mos{"+dimensionsOfStamped+"} 1 3.42 [0 0 0 0 0 1 0 0 0 0 0]")
	assert.Equal(t, second, c.pass(15*time.Second), "all is sent again, news or not")

	point := c.sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
	assert.Equal(t, epoch, point.StartTimestamp())
	assert.Equal(t, epoch+pcommon.Timestamp(45*time.Second), point.Timestamp())
}

func TestNothingIsSentWhereThereIsNothing(t *testing.T) {
	c := newCounting(t, defaults())
	c.pass(15 * time.Second)
	assert.Empty(t, c.sink.AllMetrics())
}

func TestSumsAreCumulativeAndMonotonic(t *testing.T) {
	c := newCounting(t, defaults())
	c.send(stamped, warningSpan)
	c.values()
	for _, metric := range c.sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if metric.Type() == pmetric.MetricTypeHistogram {
			assert.Equal(t, pmetric.AggregationTemporalityCumulative, metric.Histogram().AggregationTemporality())
			continue
		}
		assert.Equal(t, pmetric.AggregationTemporalityCumulative, metric.Sum().AggregationTemporality(), metric.Name())
		assert.True(t, metric.Sum().IsMonotonic(), metric.Name())
	}
}

// refusing takes nothing as long as it has an error to give.
type refusing struct {
	consumertest.MetricsSink
	err error
}

func (r *refusing) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if r.err != nil {
		return r.err
	}
	return r.MetricsSink.ConsumeMetrics(ctx, md)
}

func TestARefusedFlushLosesNothing(t *testing.T) {
	c := newCounting(t, defaults())
	next := &refusing{err: errors.New("full")}
	c.next = next
	c.send(stamped)
	require.ErrorIs(t, c.flush(context.Background(), false), next.err)
	next.err = nil
	for _, want := range []string{"0", "300"} {
		next.Reset()
		require.NoError(t, c.flush(context.Background(), false))
		assert.Contains(t, linesOf(next.AllMetrics()[0]), "cx.call.time{"+dimensionsOfStamped+"} "+want)
	}
	assert.Equal(t, map[string]int64{"": 1}, ownCounts(t, c.own, "otelcol_connector_cx_impact_failed_flushes"))
}

func TestShutdownSendsWhatWasCounted(t *testing.T) {
	sink := new(consumertest.MetricsSink)
	factory := NewFactory()
	c, err := factory.CreateTracesToMetrics(context.Background(), connectortest.NewNopSettings(metadata.Type),
		factory.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, c.Start(context.Background(), componenttest.NewNopHost()))
	require.NoError(t, c.ConsumeTraces(context.Background(), requestOf(stamped)))
	require.NoError(t, c.Shutdown(context.Background()))
	require.Len(t, sink.AllMetrics(), 1)
	assert.Contains(t, linesOf(sink.AllMetrics()[0]), "cx.call.time{"+dimensionsOfStamped+"} 300")
	assert.False(t, c.Capabilities().MutatesData)
}

// telling tells of each request.
type telling struct {
	consumertest.MetricsSink
	came chan struct{}
}

func (t *telling) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	err := t.MetricsSink.ConsumeMetrics(ctx, md)
	select {
	case t.came <- struct{}{}:
	default:
	}
	return err
}

func TestMetricsAreSentEveryInterval(t *testing.T) {
	config := defaults()
	config.FlushInterval = time.Millisecond
	next := &telling{came: make(chan struct{})}
	c, err := newTracesToMetrics(connectortest.NewNopSettings(metadata.Type), config, next)
	require.NoError(t, err)
	require.NoError(t, c.Start(context.Background(), componenttest.NewNopHost()))
	require.NoError(t, c.ConsumeTraces(context.Background(), requestOf(stamped)))
	<-next.came
	<-next.came
	require.NoError(t, c.Shutdown(context.Background()))
	assert.GreaterOrEqual(t, len(next.AllMetrics()), 3)
}

func TestCallsThatComeAtOnceAreAllCounted(t *testing.T) {
	c := newCounting(t, defaults())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				assert.NoError(t, c.ConsumeTraces(context.Background(), requestOf(stamped, warningSpan)))
			}
		})
	}
	for range 20 {
		require.NoError(t, c.flush(context.Background(), false))
	}
	all.Wait()
	got := c.values()
	assert.Contains(t, got, "cx.calls{cx.call.outcome=completed,cx.impact.severity=moderate,"+dimensionsOfStamped+"} 400")
	assert.Contains(t, got, "cx.impact.warnings{cx.layer=agent_network,cx.warning.what=loss,cx.owner=BPO North} 400")
}

func TestWritersAreToldApart(t *testing.T) {
	resourceOf := func(id component.ID, instance string) map[string]any {
		set := connectortest.NewNopSettings(metadata.Type)
		set.ID = id
		if instance != "" {
			set.Resource.Attributes().PutStr("service.instance.id", instance)
		}
		sink := new(consumertest.MetricsSink)
		c, err := newTracesToMetrics(set, defaults(), sink)
		require.NoError(t, err)
		require.NoError(t, c.ConsumeTraces(context.Background(), requestOf(stamped)))
		require.NoError(t, c.Shutdown(context.Background()))
		return sink.AllMetrics()[0].ResourceMetrics().At(0).Resource().Attributes().AsRaw()
	}
	unnamed := component.NewID(metadata.Type)
	assert.Equal(t, map[string]any{"service.name": "cx-impact", "service.instance.id": "a"}, resourceOf(unnamed, "a"))
	named := resourceOf(component.NewIDWithName(metadata.Type, "eu"), "a")
	assert.Equal(t, "a/eu", named["service.instance.id"])
	assert.NotEqual(t, resourceOf(unnamed, ""), resourceOf(unnamed, ""))
}
