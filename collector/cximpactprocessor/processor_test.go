package cximpactprocessor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/cxotel/cxotel/collector/cximpactprocessor/internal/metadata"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

var (
	queueSpan = lifecycleSpan{ID: 2, Name: "queue", From: 0, To: 45, Layer: "ccaas", Activity: "queue"}
	rootSpan  = lifecycleSpan{ID: 1, Name: "call inbound", From: 0, To: 100, Layer: "call"}
)

func requestOf(spans ...lifecycleSpan) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, span := range spans {
		span.add(td)
	}
	return td
}

func (l *life) consume(td ptrace.Traces) {
	require.NoError(l, l.p.ConsumeTraces(context.Background(), td))
}

// pass lets time pass and does what is due.
func (l *life) pass(d time.Duration) {
	l.at += int64(d)
	l.step()
}

// withoutStorage is the default configuration.
func withoutStorage() *Config { return createDefaultConfig().(*Config) }

func withStorage() *Config {
	config := withoutStorage()
	config.Storage = &storageID
	return config
}

func TestSpansPassAtOnceAndTheRootWaits(t *testing.T) {
	l := newLife(t, withoutStorage())
	l.at = epoch
	l.consume(requestOf(queueSpan, rootSpan))
	passed := l.taken()
	require.Len(t, passed, 1)
	assert.Equal(t, "queue", passed[0].span.Name())
	l.pass(5999 * time.Millisecond)
	assert.Empty(t, l.taken())
	l.pass(time.Millisecond)
	names := []string{}
	for _, one := range l.taken() {
		names = append(names, one.span.Name())
	}
	assert.Equal(t, []string{"call inbound", "ccaas queue"}, names)
}

func TestARootKeepsWhatCameWithIt(t *testing.T) {
	l := newLife(t, withStorage())
	l.at = epoch
	td := requestOf(rootSpan)
	resource := td.ResourceSpans().At(0)
	resource.SetSchemaUrl("resource schema")
	resource.Resource().Attributes().PutStr("service.name", "ivr")
	scope := resource.ScopeSpans().At(0)
	scope.SetSchemaUrl("scope schema")
	scope.Scope().SetName("cxotel")
	scope.Scope().SetVersion("1")
	scope.Spans().At(0).Events().AppendEmpty().SetName("an event")
	scope.Spans().At(0).TraceState().FromRaw("cx=1")
	scope.Spans().At(0).SetParentSpanID(numbered(77))
	want := ptrace.NewTraces()
	td.CopyTo(want)

	l.consume(td)
	l.restart(false)
	l.pass(6 * time.Second)

	got := l.sink.AllTraces()
	require.Len(t, got, 1)
	root := got[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	_, stamped := root.Attributes().Get(spec.CxImpactModel)
	assert.True(t, stamped)
	unstamp(root)
	got[0].ResourceSpans().RemoveIf(func(one ptrace.ResourceSpans) bool { return one.SchemaUrl() == "" })
	assert.Equal(t, want, got[0])
}

func TestSevereCallsGetStatusErrorUnlessTheirOwnerSetOne(t *testing.T) {
	for name, one := range map[string]struct {
		from   string
		status ptrace.StatusCode
		want   ptrace.StatusCode
	}{
		"severe":          {"severe", ptrace.StatusCodeUnset, ptrace.StatusCodeError},
		"below":           {"critical", ptrace.StatusCodeUnset, ptrace.StatusCodeUnset},
		"never":           {"never", ptrace.StatusCodeUnset, ptrace.StatusCodeUnset},
		"the owner's own": {"severe", ptrace.StatusCodeOk, ptrace.StatusCodeOk},
	} {
		t.Run(name, func(t *testing.T) {
			config := withoutStorage()
			config.ErrorFrom = one.from
			l := newLife(t, config)
			l.at = epoch
			long := queueSpan
			long.To = 90 // 70 s lost
			td := requestOf(long, rootSpan)
			td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Status().SetCode(one.status)
			l.consume(td)
			l.taken()
			l.pass(6 * time.Second)
			root := l.taken()[0].span
			assert.Equal(t, one.want, root.Status().Code())
			summary, _ := root.Attributes().Get(spec.CxImpactSummary)
			if one.want == ptrace.StatusCodeError {
				assert.Equal(t, summary.Str(), root.Status().Message())
			}
		})
	}
}

func TestRootsGetTheAttributesOfTheirCall(t *testing.T) {
	l := newLife(t, withoutStorage())
	l.at = epoch
	leg := lifecycleSpan{ID: 3, Name: "carrier leg", To: 100, Layer: "carrier", Activity: "converse",
		Attributes: map[string]any{spec.CxCarrierName: "Acme", spec.CxQueueName: "billing"}}
	other := leg
	other.ID, other.Attributes = 4, map[string]any{spec.CxCarrierName: "Other", spec.CxSite: "porto"}
	root := rootSpan
	root.Attributes = map[string]any{spec.CxQueueName: "sales"}
	l.consume(requestOf(leg, other, root))
	l.taken()
	l.pass(6 * time.Second)
	got := l.taken()[0].span.Attributes()
	for name, want := range map[string]string{
		spec.CxCarrierName: "Acme", spec.CxQueueName: "sales", spec.CxSite: "porto",
	} {
		value, _ := got.Get(name)
		assert.Equal(t, want, value.Str(), name)
	}
}

func TestWhatTheJudgeAddsSaysWhoDidIt(t *testing.T) {
	l := newLife(t, withoutStorage())
	l.at = epoch
	owned, unowned, episode := queueSpan, queueSpan, queueSpan
	owned.Attributes = map[string]any{spec.CxOwner: "WFM team"}
	unowned.ID, unowned.Layer, unowned.Activity = 91, spec.CxLayerAgent, spec.CxActivityHold
	unowned.From, unowned.To = queueSpan.To, queueSpan.To+100
	episode.ID, episode.Name, episode.Layer, episode.Activity = 92, spec.SpanMediaEpisode, spec.CxLayerCarrier, spec.CxActivityConverse
	episode.From, episode.To = 0, 5
	episode.Attributes = map[string]any{spec.CxOwner: "Acme Telecom", spec.CxMediaToAgentLossPct: "30"}
	l.consume(requestOf(owned, unowned, episode, rootSpan))
	l.pass(6 * time.Second)
	services := map[string]string{}
	for _, one := range l.taken() {
		if one.scope.Scope().Name() == judgeScope {
			service, _ := one.resource.Resource().Attributes().Get(spec.ServiceName)
			services[one.span.Name()] = service.AsString()
			owner, has := one.span.Attributes().Get(spec.CxEvidenceOwner)
			if has {
				services[one.span.Name()] += " / " + owner.AsString()
			}
		}
	}
	assert.Equal(t, map[string]string{
		"ccaas queue":    "ccaas: WFM team / WFM team",
		"agent hold":     "agent: unknown",
		"impact warning": "carrier: Acme Telecom",
	}, services)
}

func TestTenantsDoNotMeetAndKeepTheirMetadata(t *testing.T) {
	config := withStorage()
	config.MetadataKeys = []string{"X-Tenant", "x-other"}
	config.MetadataCardinalityLimit = 2
	l := newLife(t, config)
	l.at = epoch
	as := func(tenant string) context.Context {
		return client.NewContext(context.Background(), client.Info{
			Metadata: client.NewMetadata(map[string][]string{"x-tenant": {tenant, "&=;/ 2"}}),
		})
	}
	require.NoError(t, l.p.ConsumeTraces(as("a"), requestOf(queueSpan, rootSpan)))
	require.NoError(t, l.p.ConsumeTraces(as("b"), requestOf(rootSpan)))
	l.pass(keepEvery)
	l.restart(true)
	l.sink.Reset()
	l.pass(6 * time.Second)

	lost := map[string]float64{}
	for i, td := range l.sink.AllTraces() {
		info := client.FromContext(l.sink.Contexts()[i])
		assert.Equal(t, "&=;/ 2", info.Metadata.Get("x-tenant")[1])
		value, _ := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get(spec.CxImpactLostSeconds)
		lost[info.Metadata.Get("X-Tenant")[0]] = value.Double()
	}
	assert.Equal(t, map[string]float64{"a": 25, "b": 0}, lost)
}

// refusing takes nothing as long as it has an error to give.
type refusing struct {
	consumertest.TracesSink
	err error
}

func (r *refusing) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if r.err != nil {
		return r.err
	}
	return r.TracesSink.ConsumeTraces(ctx, td)
}

func TestAVerdictThatIsRefusedIsSentAgainUnchanged(t *testing.T) {
	l := newLife(t, withoutStorage())
	next := &refusing{}
	l.p.next = next
	l.at = epoch
	l.consume(requestOf(queueSpan, rootSpan))
	next.Reset()
	next.err = errors.New("not now")
	l.pass(6 * time.Second)
	l.pass(400 * time.Millisecond) // before the next try
	assert.Equal(t, 1, l.p.sender.waiting())
	next.err = nil
	late := queueSpan
	late.ID, late.From, late.To = 3, 50, 99
	l.consume(requestOf(late))
	next.Reset()
	l.pass(200 * time.Millisecond)
	require.Equal(t, 1, len(next.AllTraces()))
	lost, _ := next.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get(spec.CxImpactLostSeconds)
	assert.Equal(t, 25.0, lost.Double())
	assert.Zero(t, l.p.sender.waiting())
}

func TestAVerdictRefusedForGoodIsCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	l := newLife(t, withoutStorage())
	settings := processortest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	next := &refusing{}
	p, err := newImpactProcessor(settings, l.config, next)
	require.NoError(t, err)
	p.now = l.p.now
	l.p = p
	l.at = epoch
	l.consume(requestOf(rootSpan))
	next.err = consumererror.NewPermanent(errors.New("never"))
	l.pass(6 * time.Second)
	assert.Zero(t, p.sender.waiting())
	metric, err := telemetry.GetMetric("otelcol_processor_cx_impact_discarded_roots")
	if err != nil {
		metric, err = telemetry.GetMetric("processor_cx_impact_discarded_roots")
	}
	require.NoError(t, err)
	assert.NotNil(t, metric)
}

func TestABatchRefusedIsRefusedAndCountsOnceWhenItComesAgain(t *testing.T) {
	l := newLife(t, withStorage())
	next := &refusing{err: errors.New("not now")}
	l.p.next = next
	l.at = epoch
	require.Error(t, l.p.ConsumeTraces(context.Background(), requestOf(queueSpan, rootSpan)))
	next.err = nil
	l.consume(requestOf(queueSpan, rootSpan))
	next.Reset()
	l.pass(6 * time.Second)
	require.Len(t, next.AllTraces(), 1)
	assert.Equal(t, 2, next.SpanCount())
}

func TestTooManyVerdictsWaitingRefuseMoreSpans(t *testing.T) {
	l := newLife(t, withoutStorage())
	l.p.sender.count = mostWaiting + 1
	require.ErrorIs(t, l.p.ConsumeTraces(context.Background(), requestOf(queueSpan)), errBacklog)
	l.p.sender.count = 0
}

func TestShutdownWithoutStorageSendsWhatIsHeldAsPartial(t *testing.T) {
	l := newLife(t, withoutStorage())
	l.at = epoch
	l.consume(requestOf(queueSpan, rootSpan))
	l.taken()
	require.NoError(t, l.p.Shutdown(context.Background()))
	root := l.taken()[0].span
	partial, _ := root.Attributes().Get(spec.CxImpactPartial)
	assert.True(t, partial.Bool())
}

func TestShutdownThatCannotSendSaysSo(t *testing.T) {
	l := newLife(t, withoutStorage())
	next := &refusing{}
	l.p.next = next
	l.at = epoch
	l.consume(requestOf(rootSpan))
	next.err = errors.New("gone")
	require.ErrorContains(t, l.p.Shutdown(context.Background()), "1 verdicts could not be sent before shutdown: gone")
}

func TestShutdownDeliversEverything(t *testing.T) {
	processortest.VerifyShutdown(t, NewFactory(), withoutStorage())
}

func TestARootTooLargeToHoldIsJudgedAtOnce(t *testing.T) {
	config := withoutStorage()
	config.MaxBytesPerCall = 2048
	l := newLife(t, config)
	l.at = epoch
	root := rootSpan
	root.Attributes = map[string]any{"big": string(make([]byte, 4096))}
	l.consume(requestOf(queueSpan, root))
	got := l.taken()
	last := got[len(got)-2].span // before its evidence
	require.Equal(t, "call inbound", last.Name())
	partial, _ := last.Attributes().Get(spec.CxImpactPartial)
	assert.True(t, partial.Bool())
	lost, _ := last.Attributes().Get(spec.CxImpactLostSeconds)
	assert.Equal(t, 25.0, lost.Double())
	l.consume(requestOf(root))
	assert.Empty(t, l.taken(), "it has gone out")
}

func TestARootJudgedAtOnceAndRefusedIsAsIfItHadNotCome(t *testing.T) {
	config := withoutStorage()
	config.MaxBytesPerCall = 2048
	l := newLife(t, config)
	next := &refusing{err: errors.New("not now")}
	l.p.next = next
	l.at = epoch
	root := rootSpan
	root.Attributes = map[string]any{"big": string(make([]byte, 4096))}
	require.Error(t, l.p.ConsumeTraces(context.Background(), requestOf(root)))
	next.err = nil
	l.consume(requestOf(root))
	require.Equal(t, 1, next.SpanCount())
}

func TestHostileSpansAreSkippedAndCounted(t *testing.T) {
	l := newLife(t, withoutStorage())
	l.at = epoch
	td := requestOf(rootSpan,
		lifecycleSpan{ID: 0, Name: "no id", To: 1, Layer: "ccaas"},
		lifecycleSpan{ID: 5, Name: "ends before it starts", From: 9, To: 1, Layer: "ccaas"},
		lifecycleSpan{ID: 6, Name: "wrong types", To: 1, Attributes: map[string]any{"cx.layer": 7, "cx.activity": true}},
		lifecycleSpan{ID: 7, Name: "absurd", From: -1e9, To: 1e10, Layer: "crm", Activity: "lookup"},
		lifecycleSpan{ID: 8, Name: "carrier leg", To: 60, Layer: "carrier", Activity: "converse", Text: 1 << 20},
	)
	l.consume(td)
	assert.Len(t, l.taken(), 5)
	l.pass(6 * time.Second)
	root := l.taken()[0].span
	skipped, _ := root.Attributes().Get(spec.CxImpactSkipped)
	assert.Equal(t, int64(5), skipped.Int()) // no id, times, two types, and the series as a whole
}

func TestATraceOfManySpansStaysBounded(t *testing.T) {
	config := withoutStorage()
	config.MaxBytesPerCall = 64 << 10
	l := newLife(t, config)
	l.at = epoch
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 100_000 {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID(callIDs(defaultNamespace, "A").Trace))
		span.SetSpanID(numbered(uint64(i + 10)))
		span.SetStartTimestamp(pcommon.Timestamp(epoch))
		span.SetEndTimestamp(pcommon.Timestamp(epoch + int64(i)))
		span.Attributes().PutStr(spec.CxLayer, "crm")
	}
	l.consume(td)
	assert.Less(t, l.p.store.Gauges().Bytes, int64(2*64<<10))
	assert.Positive(t, l.p.store.Counts().UnreadSpans)
	l.consume(requestOf(rootSpan))
	l.taken()
	l.pass(6 * time.Second)
	partial, _ := l.taken()[0].span.Attributes().Get(spec.CxImpactPartial)
	assert.True(t, partial.Bool())
}

func TestConfigurationErrorsNameTheFieldAndTheFix(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"grace: -1ns given; must not be negative":                               func(c *Config) { c.Grace = -1 },
		"idle_timeout: 1s given; must be longer than grace (6s)":                func(c *Config) { c.IdleTimeout = time.Second },
		"max_call_duration: 1s given; must not be shorter than idle_timeout":    func(c *Config) { c.MaxCallDuration = time.Second },
		"correction_window: 6s given; must be longer than grace (6s)":           func(c *Config) { c.CorrectionWindow = 6 * time.Second },
		`copy_to_root: "cx.impact.layer" given; must be a name that no verdict`: func(c *Config) { c.CopyToRoot = []string{"cx.impact.layer"} },
		"max_calls: 0 given; must be 1 or more":                                 func(c *Config) { c.MaxCalls = 0 },
		"metadata_cardinality_limit: 0 given; must be 1 or more":                func(c *Config) { c.MetadataCardinalityLimit = 0 },
		"copy_to_root: 9 names given; at most 8":                                func(c *Config) { c.CopyToRoot = make([]string, 9) },
		"grace: 6ns given; less than 1ms; write the unit, such as grace: 6s":    func(c *Config) { c.Grace = 6 },
		`metadata_keys: "" given; must be the name of a header`:                 func(c *Config) { c.MetadataKeys = []string{""} },
		`copy_to_root: "a" given twice`:                                         func(c *Config) { c.CopyToRoot = []string{"a", "b", "a"} },
		`metadata_keys: "X" given twice`:                                        func(c *Config) { c.MetadataKeys = []string{"x", "X"} },
		"on_shutdown: persist needs a storage; name one in `storage`":           func(c *Config) { c.OnShutdown = persist },
		"parameters: impact parameter allowance.queu":                           func(c *Config) { c.Parameters = map[string]any{"allowance.queu": 3} },
	} {
		config := withoutStorage()
		change(config)
		_, err := NewFactory().CreateTraces(context.Background(), processortest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
		assert.ErrorContains(t, err, want)
	}
}

func TestAStorageThatIsNoneIsRefusedAtStart(t *testing.T) {
	for want, host := range map[string]component.Host{
		`storage: no extension "file_storage"; is it listed under service.extensions?`: storageHost{},
		`storage: the extension "file_storage" stores nothing`:                         storageHost{map[component.ID]component.Component{storageID: nil}},
	} {
		p, err := NewFactory().CreateTraces(context.Background(), processortest.NewNopSettings(metadata.Type), withStorage(), consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, p.Start(context.Background(), host), want)
		require.NoError(t, p.Shutdown(context.Background()))
	}
}

var _ consumer.Traces = (*refusing)(nil)
var _ processor.Traces = (*impactProcessor)(nil)
