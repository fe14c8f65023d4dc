package cximpactconnector

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/cximpactconnector/internal/metadata"
)

// spansOfOthers is a request as most are: none of its 2,048 spans says anything here.
func spansOfOthers() ptrace.Traces {
	td := ptrace.NewTraces()
	scope := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	scope.Scope().SetName("cxotel")
	for range 2048 {
		span := scope.Spans().AppendEmpty()
		span.SetName("carrier leg")
		span.Attributes().PutStr("cx.layer", "carrier")
	}
	return td
}

func BenchmarkOtherSpansToMetrics(b *testing.B) {
	c, err := newTracesToMetrics(connectortest.NewNopSettings(metadata.Type), defaults(), consumertest.NewNop())
	require.NoError(b, err)
	td := spansOfOthers()
	b.ReportAllocs()
	for b.Loop() {
		_ = c.ConsumeTraces(context.Background(), td)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2048, "ns/span")
}

func BenchmarkVerdictsToMetrics(b *testing.B) {
	c, err := newTracesToMetrics(connectortest.NewNopSettings(metadata.Type), defaults(), consumertest.NewNop())
	require.NoError(b, err)
	td := requestOf(stamped)
	b.ReportAllocs()
	for b.Loop() {
		_ = c.ConsumeTraces(context.Background(), td)
	}
}

func BenchmarkVerdictsToLogs(b *testing.B) {
	c, err := newTracesToLogs(connectortest.NewNopSettings(metadata.Type), defaults(), consumertest.NewNop())
	require.NoError(b, err)
	td := requestOf(stamped)
	b.ReportAllocs()
	for b.Loop() {
		_ = c.ConsumeTraces(context.Background(), td)
	}
}

// All metrics at their limit: what one flush costs, and how long it keeps spans waiting.
func BenchmarkFlushOfFullMetrics(b *testing.B) {
	c, err := newTracesToMetrics(connectortest.NewNopSettings(metadata.Type), defaults(), consumertest.NewNop())
	require.NoError(b, err)
	for queue := range 2000 {
		one := stamped.with(attributes{"cx.queue.name": strconv.Itoa(queue)})
		require.NoError(b, c.ConsumeTraces(context.Background(), requestOf(one)))
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = c.flush(context.Background(), false)
	}
}
