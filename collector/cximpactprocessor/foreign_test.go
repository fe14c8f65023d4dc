package cximpactprocessor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/cxotel/cxotel/collector/cximpactprocessor/internal/metadata"
	"github.com/cxotel/cxotel/collector/cximpactprocessor/internal/metadatatest"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

// measured is a processor whose own telemetry can be read.
func measured(t *testing.T, config *Config) (*life, *componenttest.Telemetry) {
	own := componenttest.NewTelemetry()
	l := newLife(t, config)
	settings := processortest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = own.NewTelemetrySettings()
	p, err := newImpactProcessor(settings, config, l.sink)
	require.NoError(t, err)
	p.now = l.p.now
	require.NoError(t, l.p.Shutdown(t.Context()))
	l.p = p
	l.at = epoch
	t.Cleanup(func() { require.NoError(t, own.Shutdown(context.Background())) })
	return l, own
}

func TestSpansWithoutIdsAreNoCallAndAreCounted(t *testing.T) {
	l, own := measured(t, withoutStorage())
	td := requestOf(queueSpan, rootSpan, lifecycleSpan{ID: 3, Name: "queue", From: 0, To: 45, Layer: "ccaas", Activity: "queue", Call: "B"})
	for _, resource := range td.ResourceSpans().All() {
		for _, span := range resource.ScopeSpans().At(0).Spans().All() {
			span.SetTraceID(pcommon.TraceID{})
		}
	}
	noSpanID := requestOf(rootSpan)
	noSpanID.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetSpanID(pcommon.SpanID{})
	noSpanID.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	l.consume(td)
	assert.Len(t, l.taken(), 4, "all are passed on")
	l.pass(l.config.MaxCallDuration)
	assert.Empty(t, l.taken(), "and nothing is told of them")
	metadatatest.AssertEqualProcessorCxImpactInvalidSpans(t, own, pointsOf(4), metricdatatest.IgnoreTimestamp())
}

func TestNobodyElsesVerdictGoesThrough(t *testing.T) {
	for _, trusts := range []bool{false, true} {
		config := withoutStorage()
		config.TrustStamped = trusts
		l, own := measured(t, config)
		td := requestOf(
			queueSpan,
			lifecycleSpan{ID: 3, Name: spec.SpanCallPartial, From: 0, To: 9, Scope: judgeScope},
			lifecycleSpan{ID: 4, Name: spec.SpanCallInbound, From: 0, To: 9, Layer: "call", Scope: judgeScope},
			lifecycleSpan{ID: 5, Name: spec.SpanImpactWarning, From: 0, To: 9, Scope: judgeScope},
			lifecycleSpan{ID: 6, Name: spec.SpanCallInbound, From: 0, To: 9},
		)
		for _, resource := range td.ResourceSpans().All() {
			resource.ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(spec.CxImpactSeverity, "critical")
		}
		l.consume(td)
		names, verdicts := []string{}, 0
		for _, one := range l.taken() {
			names = append(names, one.span.Name())
			if _, has := one.span.Attributes().Get(spec.CxImpactSeverity); has {
				verdicts++
			}
		}
		if trusts {
			assert.Equal(t, []string{"queue", "call (partial)", "call inbound", "impact warning", "call inbound"}, names)
			assert.Equal(t, 5, verdicts)
			continue
		}
		assert.Equal(t, []string{"queue", "call inbound"}, names)
		assert.Zero(t, verdicts)
		metadatatest.AssertEqualProcessorCxImpactRemovedSpans(t, own, pointsOf(3), metricdatatest.IgnoreTimestamp())
	}
}

func TestSpansOfATenantTooManyAreRefusedForGoodAndCounted(t *testing.T) {
	config := withoutStorage()
	config.MetadataKeys = []string{"x-tenant"}
	config.MetadataCardinalityLimit = 1
	l, own := measured(t, config)
	as := func(tenant string) context.Context {
		return client.NewContext(context.Background(), client.Info{
			Metadata: client.NewMetadata(map[string][]string{"x-tenant": {tenant}}),
		})
	}
	require.NoError(t, l.p.ConsumeTraces(as("a"), requestOf(rootSpan)))
	err := l.p.ConsumeTraces(as("b"), requestOf(queueSpan, rootSpan))
	require.ErrorIs(t, err, errTenants)
	assert.True(t, consumererror.IsPermanent(err), "else its sender would try it for ever")
	require.NoError(t, l.p.ConsumeTraces(as("a"), requestOf(queueSpan)))
	metadatatest.AssertEqualProcessorCxImpactRefusedSpans(t, own, pointsOf(2), metricdatatest.IgnoreTimestamp())
}

func pointsOf(value int64) []metricdata.DataPoint[int64] {
	return []metricdata.DataPoint[int64]{{Value: value}}
}
