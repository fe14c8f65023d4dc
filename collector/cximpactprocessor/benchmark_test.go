package cximpactprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/cxotel/cxotel/collector/cximpactprocessor/internal/metadata"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

const (
	liveCalls   = 100_000
	batchLength = 512
)

// The mix of a call's first twenty spans: what cxotel sends while a call runs, and half of them HTTP and database
// spans of other instrumentations with twelve attributes, two of which are the call's.
var mix = []lifecycleSpan{
	{Name: "call started", Layer: "call"},
	{Name: "carrier setup", Layer: "carrier", Activity: "setup"},
	{Name: "ivr", Layer: "ccaas", Activity: "ivr"},
	{Name: "crm lookup", Layer: "crm", Activity: "lookup"},
	{Name: "queue", Layer: "ccaas", Activity: "queue"},
	{Name: "agent connect", Layer: "endpoint", Activity: "connect"},
	{Name: "talk", Layer: "ccaas", Activity: "talk"},
	{Name: "hold", Layer: "ccaas", Activity: "hold"},
	{Name: "handoff", Layer: "handoff", Activity: "handoff"},
	{Name: "voice ai response", Layer: "voice_ai", Activity: "respond"},
}

// benchBatch makes a request of spans of the mix; spans get their ids from number.
func benchBatch() ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range batchLength {
		span := spans.AppendEmpty()
		span.SetStartTimestamp(pcommon.Timestamp(epoch + int64(i)*1e9))
		span.SetEndTimestamp(pcommon.Timestamp(epoch + int64(i+3)*1e9))
		attributes := span.Attributes()
		attributes.PutStr(spec.CxCallID, "0f8fad5b-d9cb-469f-a165-70867728950e")
		attributes.PutStr(spec.CxQueueName, "billing")
		if one := mix[i/2%len(mix)]; i%2 == 0 {
			span.SetName(one.Name)
			attributes.PutStr(spec.CxLayer, one.Layer)
			attributes.PutStr(spec.CxActivity, one.Activity)
			attributes.PutStr(spec.CxOwner, "Acme Telecom")
			continue
		}
		span.SetName("GET")
		for _, name := range []string{
			"http.request.method", "url.full", "server.address", "network.protocol.version", "http.route",
			"user_agent.original", "db.system.name", "db.namespace", "db.query.text",
		} {
			attributes.PutStr(name, "value")
		}
		attributes.PutInt("http.response.status_code", 200)
	}
	return td
}

// number gives the spans of a batch ids of their own, and to calls in turn: a span of ours and the one below it come
// together, as they end together.
func number(td ptrace.Traces, from int) {
	var trace pcommon.TraceID
	for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		binary.BigEndian.PutUint64(trace[:], uint64((from+i)/2%liveCalls)*0x9e3779b97f4a7c15+1)
		span.SetTraceID(trace)
		span.SetSpanID(numbered(uint64(from + i + 1)))
	}
}

func benchProcessor(b *testing.B) *impactProcessor {
	settings := processortest.NewNopSettings(metadata.Type)
	p, err := newImpactProcessor(settings, withoutStorage(), consumertest.NewNop())
	require.NoError(b, err)
	return p
}

// BenchmarkPassedSpan is the time of one span of a known call at 100,000 live calls, the batch's own walk included.
func BenchmarkPassedSpan(b *testing.B) {
	p := benchProcessor(b)
	td := benchBatch()
	sent := 0
	for ; sent < 2*liveCalls; sent += batchLength {
		number(td, sent)
		require.NoError(b, p.ConsumeTraces(context.Background(), td))
	}
	b.ReportAllocs()
	b.ResetTimer()
	var taken time.Duration // giving spans their ids is not the processor's work
	for n := 0; n < b.N; n += batchLength {
		number(td, sent)
		sent += batchLength
		begun := time.Now()
		if err := p.ConsumeTraces(context.Background(), td); err != nil {
			b.Fatal(err)
		}
		taken += time.Since(begun)
	}
	b.ReportMetric(float64(taken.Nanoseconds())/float64(b.N), "ns/span")
}

// BenchmarkStatePerCall reports bytes of state for each of 100,000 live calls of twenty spans without series: as the
// processor counts them, and as the heap grows.
func BenchmarkStatePerCall(b *testing.B) {
	for range b.N {
		p := benchProcessor(b)
		td := benchBatch()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for sent := 0; sent < 20*liveCalls; sent += batchLength {
			number(td, sent)
			if err := p.ConsumeTraces(context.Background(), td); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		gauges := p.store.Gauges()
		b.ReportMetric(float64(gauges.Bytes)/float64(gauges.Calls), "counted-B/call")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(gauges.Calls), "heap-B/call")
		runtime.KeepAlive(p)
	}
}

// BenchmarkPassedSpanParallel is the throughput on several cores: run with -cpu 1,2.
func BenchmarkPassedSpanParallel(b *testing.B) {
	p := benchProcessor(b)
	warm := benchBatch()
	for sent := 0; sent < 2*liveCalls; sent += batchLength {
		number(warm, sent)
		require.NoError(b, p.ConsumeTraces(context.Background(), warm))
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		td := benchBatch()
		number(td, 0)
		for i := 0; pb.Next(); i++ {
			if i%batchLength == 0 {
				if err := p.ConsumeTraces(context.Background(), td); err != nil {
					b.Error(err)
				}
			}
		}
	})
}

// BenchmarkWholeCall is a call from its first span to its verdict sent: ten spans, three legs with media series and a
// root.
func BenchmarkWholeCall(b *testing.B) {
	p := benchProcessor(b)
	now := epoch
	p.now = func() int64 { return now }
	spans := append([]lifecycleSpan{}, mix...)
	for _, layer := range []string{"carrier", "agent_network", "endpoint"} {
		spans = append(spans, lifecycleSpan{Name: layer, To: 300, Layer: layer, Activity: "converse", Attributes: map[string]any{
			spec.CxMediaToAgentLossPct: "0*20 0.4 0*12 1.2 0*26", spec.CxMediaToAgentDelayMs: "20*12 21*30 24*18",
			spec.CxMediaToCustomerLossPct: "0*60", spec.CxMediaToCustomerDelayMs: "20*60",
		}})
	}
	root := rootSpan
	root.To = 300
	spans = append(spans, root)
	for i := range spans {
		spans[i].ID = uint64(i + 1)
	}
	b.ResetTimer()
	for n := range b.N {
		b.StopTimer()
		for i := range spans {
			spans[i].Call = fmt.Sprint(n)
		}
		td := requestOf(spans...)
		b.StartTimer()
		if err := p.ConsumeTraces(context.Background(), td); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 999 {
			now += int64(p.config.Grace)
			p.sender.send(p.settle(p.store.Due, now))
			p.sender.going.Wait()
		}
	}
}
