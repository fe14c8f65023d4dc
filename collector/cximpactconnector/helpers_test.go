package cximpactconnector

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/cxotel/cxotel/collector/cximpactconnector/internal/metadatatest"
)

// epoch is when tests begin; calls end then, and have lasted 300 s.
const epoch = pcommon.Timestamp(1_700_000_000_000_000_000)

type attributes map[string]any

// given is a span that a test sends. Its trace id ends with id, its span id with id + 1.
type given struct {
	id         byte
	scope      string
	name       string
	attributes attributes
	resource   attributes
	message    string
}

// with is the same span with other attributes; nil takes one away.
func (g given) with(changes attributes) given {
	all := attributes{}
	for name, value := range g.attributes {
		all[name] = value
	}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	g.attributes = all
	return g
}

func (g given) add(td ptrace.Traces) {
	resource := td.ResourceSpans().AppendEmpty()
	resource.SetSchemaUrl("resource schema")
	if err := resource.Resource().Attributes().FromRaw(g.resource); err != nil {
		panic(err)
	}
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName(g.scope)
	span := scope.Spans().AppendEmpty()
	span.SetName(g.name)
	span.SetTraceID(pcommon.TraceID{15: g.id})
	span.SetSpanID(pcommon.SpanID{7: g.id + 1})
	span.SetStartTimestamp(epoch - pcommon.Timestamp(300*time.Second))
	span.SetEndTimestamp(epoch)
	span.SetFlags(0x101)
	span.Status().SetMessage(g.message)
	if err := span.Attributes().FromRaw(g.attributes); err != nil {
		panic(err)
	}
}

func requestOf(spans ...given) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, one := range spans {
		one.add(td)
	}
	return td
}

// stamped is a root as the processor stamps it.
var stamped = given{
	id: 1, scope: "cxotel", name: "call inbound", resource: attributes{"service.name": "ivr"},
	attributes: attributes{
		"cx.layer": "call", "cx.call.id": "c-1", "cx.call.direction": "inbound", "cx.call.outcome": "completed",
		"cx.queue.name": "billing", "cx.carrier.name": "Acme", "cx.partner": "BPO North",
		"cx.impact.charge.carrier": 41.7, "cx.impact.charge.agent_network": 8.61,
		"cx.impact.lost_seconds": 50.31, "cx.impact.layers": []any{"carrier", "agent_network"},
		"cx.impact.layer": "carrier", "cx.impact.share": 0.829, "cx.impact.owner": "Acme Telecom",
		"cx.impact.severity": "moderate", "cx.impact.score": 83.2, "cx.impact.felt": []any{"choppy_audio"},
		"cx.impact.evidence": []any{"carrier: loss 6.0 %, 41.7 s"}, "cx.impact.summary": "50.3 s were lost.",
		"cx.impact.coverage": 0.667, "cx.impact.unobserved": []any{"endpoint"}, "cx.impact.outside": 0,
		"cx.impact.partial": false, "cx.impact.model": "1", "cx.impact.skipped": 0,
		"cx.media.mos.min": 2.41, "cx.media.mos.mean": 3.42,
	},
}

// judged is a span of the judge's own, with the same verdict.
func judged(id byte, name string) given {
	one := stamped.with(attributes{"cx.layer": nil, "cx.call.outcome": nil, "cx.call.direction": nil, "cx.call.id": nil})
	one.id, one.scope, one.name, one.resource = id, judgeScope, name, attributes{"service.name": "cx-impact"}
	return one
}

var warningSpan = given{
	id: 5, scope: judgeScope, name: "impact warning", message: "agent_network: loss 12.0 %, 4.7 s",
	resource: attributes{"service.name": "cx-impact"},
	attributes: attributes{
		"cx.warning.layer": "agent_network", "cx.warning.what": "loss", "cx.warning.owner": "BPO North",
		"cx.warning.lost_seconds": 4.712,
	},
}

func defaults() *Config { return createDefaultConfig().(*Config) }

// counting is a connector to metrics whose time a test sets.
type counting struct {
	*testing.T
	*tracesToMetrics
	sink *consumertest.MetricsSink
	own  *componenttest.Telemetry
	at   pcommon.Timestamp
}

func newCounting(t *testing.T, config *Config) *counting {
	c := &counting{T: t, sink: new(consumertest.MetricsSink), own: componenttest.NewTelemetry(), at: epoch}
	t.Cleanup(func() { require.NoError(t, c.own.Shutdown(context.Background())) })
	made, err := newTracesToMetrics(metadatatest.NewSettings(c.own), config, c.sink)
	require.NoError(t, err)
	made.now = func() pcommon.Timestamp { return c.at }
	c.tracesToMetrics = made
	return c
}

func (c *counting) send(spans ...given) {
	td := requestOf(spans...)
	td.MarkReadOnly()
	require.NoError(c, c.ConsumeTraces(context.Background(), td))
}

// pass lets time pass and flushes, and gives what was sent.
func (c *counting) pass(d time.Duration) []string {
	c.at += pcommon.Timestamp(d)
	return c.flushed(false)
}

// values is what all series have come to, new ones too.
func (c *counting) values() []string { return c.flushed(true) }

func (c *counting) flushed(last bool) []string {
	c.sink.Reset()
	require.NoError(c, c.flush(context.Background(), last))
	var all []string
	for _, md := range c.sink.AllMetrics() {
		all = append(all, linesOf(md)...)
	}
	return all
}

// of gives the lines of one metric.
func of(name string, lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, name+"{") })
}

// linesOf is a line for each point: name{attributes} value.
func linesOf(md pmetric.Metrics) []string {
	var all []string
	for _, metric := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		switch metric.Type() {
		case pmetric.MetricTypeSum:
			for _, point := range metric.Sum().DataPoints().All() {
				value := strconv.FormatInt(point.IntValue(), 10)
				if point.ValueType() == pmetric.NumberDataPointValueTypeDouble {
					value = fmt.Sprint(point.DoubleValue())
				}
				if point.Flags().NoRecordedValue() {
					value = "end"
				}
				all = append(all, metric.Name()+labels(point.Attributes())+" "+value)
			}
		case pmetric.MetricTypeHistogram:
			for _, point := range metric.Histogram().DataPoints().All() {
				value := fmt.Sprint(point.Count(), point.Sum(), point.BucketCounts().AsRaw())
				if point.Flags().NoRecordedValue() {
					value = "end"
				}
				all = append(all, metric.Name()+labels(point.Attributes())+" "+value)
			}
		}
	}
	return all
}

func labels(values pcommon.Map) string {
	var all []string
	for name, value := range values.All() {
		all = append(all, name+"="+value.AsString())
	}
	return "{" + strings.Join(all, ",") + "}"
}

// badValues is what the connector's own telemetry says of values that it skipped.
func badValues(t *testing.T, own *componenttest.Telemetry) map[string]int64 {
	return ownCounts(t, own, "otelcol_connector_cx_impact_bad_values")
}

// ownCounts reads a sum of the connector's own telemetry, by the value of its attribute that is not `output`.
func ownCounts(t *testing.T, own *componenttest.Telemetry, name string) map[string]int64 {
	counts := map[string]int64{}
	got, err := own.GetMetric(name)
	if err != nil {
		return counts // never counted
	}
	sum, is := got.Data.(metricdata.Sum[int64])
	require.True(t, is)
	for _, point := range sum.DataPoints {
		key := ""
		for _, one := range point.Attributes.ToSlice() {
			if one.Key != "output" {
				key = one.Value.AsString()
			}
		}
		counts[key] = point.Value
	}
	return counts
}

const dimensionsOfStamped = "cx.call.direction=inbound,cx.queue.name=billing,cx.carrier.name=Acme,cx.partner=BPO North"
