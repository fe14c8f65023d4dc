package cximpactprocessor

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/cxotel/cxotel/collector/cximpactprocessor/internal/metadata"
	"github.com/cxotel/cxotel/collector/internal/callstore"
)

const (
	// How often what is due is looked for; part of the delay of a root (p99 <= grace + 100 ms).
	tick = 25 * time.Millisecond
	// Emissions in one request: OTLP over gRPC takes 4 MiB by default, and a verdict with evidence takes some 8 KiB.
	mostInRequest = 256
	// Emissions that may wait for a next component that is slow or refuses; more spans are refused then.
	mostWaiting = 20_000
)

var (
	errBacklog = errors.New("cx_impact: too many verdicts wait for the next component; try again")
	errTenants = consumererror.NewPermanent(
		errors.New("cx_impact: more combinations of metadata_keys than metadata_cardinality_limit"))
)

type impactProcessor struct {
	config    *Config
	id        component.ID
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	next      consumer.Traces
	store     *callstore.Store
	reader    *reader
	renderer  renderer
	keeper    *keeper // nil without a storage
	sender    *sender
	now       func() int64 // Unix time in ns

	tenantsMu sync.Mutex
	tenants   map[string]*callstore.Tenant

	stop chan struct{}
	done sync.WaitGroup
}

func newImpactProcessor(set processor.Settings, config *Config, next consumer.Traces) (*impactProcessor, error) {
	parameters, err := config.check()
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	rank, _ := severityRank(config.ErrorFrom)
	p := &impactProcessor{
		config:    config,
		id:        set.ID,
		logger:    set.Logger,
		telemetry: telemetry,
		next:      next,
		store: callstore.New(callstore.Settings{
			Parameters:       parameters,
			Grace:            config.Grace,
			IdleTimeout:      config.IdleTimeout,
			MaxCallDuration:  config.MaxCallDuration,
			CorrectionWindow: config.CorrectionWindow,
			MaxCalls:         config.MaxCalls,
			MaxBytesPerCall:  config.MaxBytesPerCall,
			TrustStamped:     config.TrustStamped,
			Warnings:         config.Warnings,
			Persist:          config.Storage != nil,
		}),
		reader:   newReader(parameters, config.CopyToRoot),
		renderer: renderer{config.CopyToRoot, rank, config.EvidenceSpans},
		now:      steadyClock(),
		tenants:  map[string]*callstore.Tenant{},
		stop:     make(chan struct{}),
	}
	p.sender = newSender(p)
	return p, p.observe()
}

// Capabilities say that roots are taken out of batches: see README, "One pipeline".
func (*impactProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start opens the storage, if there is one, and begins to look for what is due.
func (p *impactProcessor) Start(ctx context.Context, host component.Host) error {
	if p.config.Storage != nil {
		keeper, err := openKeeper(ctx, p, host)
		if err != nil {
			return err
		}
		p.keeper = keeper
	}
	p.done.Go(p.run)
	if p.keeper != nil {
		p.done.Go(p.keep)
	}
	return nil
}

func (p *impactProcessor) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			now := p.now()
			p.sender.send(p.settle(p.store.Due, now))
			p.sender.retry(now)
		}
	}
}

// keep stores facts, apart from run, which may wait for the next component.
func (p *impactProcessor) keep() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.keeper.keepChanged(p.now())
		}
	}
}

// settle makes spans of what a store gives, stored so that the same is sent after a crash.
func (p *impactProcessor) settle(given func(now int64) []callstore.Emission, now int64) []release {
	if p.keeper == nil {
		return p.renderAll(given(now))
	}
	p.keeper.mu.Lock()
	defer p.keeper.mu.Unlock()
	releases := p.renderAll(given(now))
	p.keeper.keepReleases(releases)
	return releases
}

// renderAll makes spans of emissions.
func (p *impactProcessor) renderAll(emissions []callstore.Emission) []release {
	releases := make([]release, 0, len(emissions))
	for _, one := range emissions {
		td := ptrace.NewTraces()
		if err := p.renderer.render(td, one); err != nil { // it was marshaled here, so this cannot be
			p.logger.Error("cannot read a held root", zap.Error(err))
			p.telemetry.ProcessorCxImpactDiscardedRoots.Add(context.Background(), 1)
			continue
		}
		p.count(one)
		releases = append(releases, release{key: one.Key, roots: rootsOf(one), traces: td})
	}
	return releases
}

// count has the processor's own telemetry tell of an emission.
func (p *impactProcessor) count(one callstore.Emission) {
	ctx := context.Background()
	switch one.Kind {
	case callstore.Judged:
		p.telemetry.ProcessorCxImpactStamped.Add(ctx, 1)
	case callstore.Correction:
		p.telemetry.ProcessorCxImpactCorrections.Add(ctx, 1)
		return
	case callstore.Warning:
		p.telemetry.ProcessorCxImpactWarnings.Add(ctx, 1)
		return
	case callstore.Passed:
		return
	case callstore.PartialCall:
	}
	if one.Verdict.Partial {
		p.telemetry.ProcessorCxImpactPartial.Add(ctx, 1)
	}
	p.telemetry.ProcessorCxImpactSkippedValues.Add(ctx, one.Verdict.Skipped)
}

// Shutdown lets go what is held, or keeps it in the storage.
func (p *impactProcessor) Shutdown(ctx context.Context) error {
	select {
	case <-p.stop: // never started, or stopped before
		return nil
	default:
	}
	close(p.stop)
	p.done.Wait()
	now := p.now()
	if p.keeper == nil || p.config.OnShutdown == flush {
		p.sender.send(p.settle(p.store.Flush, now))
	}
	err := p.sender.close(ctx)
	if p.keeper != nil {
		err = errors.Join(err, p.keeper.close(ctx))
	}
	p.telemetry.Shutdown()
	return err
}

// ConsumeTraces passes spans on at once, but for roots, which are held.
func (p *impactProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if p.store.Waiting()+p.sender.waiting() > mostWaiting {
		return errBacklog
	}
	tenant, err := p.tenantOf(ctx)
	if err != nil {
		p.telemetry.ProcessorCxImpactRefusedSpans.Add(ctx, int64(td.SpanCount()))
		return err
	}
	batch := p.take(tenant, td)
	now := p.now()
	if len(batch.held) > 0 && p.keeper != nil {
		batch.unheld = append(batch.unheld, p.keeper.keepRoots(tenant, batch.held)...)
	}
	sentNow := make([]callstore.Emission, 0, len(batch.unheld))
	for _, root := range batch.unheld {
		one := p.store.JudgeNow(tenant, root)
		if err := p.renderer.render(td, one); err != nil {
			return consumererror.NewPermanent(err)
		}
		sentNow = append(sentNow, one)
	}
	if td.ResourceSpans().Len() == 0 {
		return nil // all of it is held
	}
	if err := p.next.ConsumeTraces(ctx, td); err != nil {
		return err
	}
	for _, one := range sentNow {
		p.count(one)
		p.store.Sent(one, now)
	}
	if p.keeper != nil && len(batch.unheld) > 0 {
		p.keeper.forget(tenant, batch.unheld)
	}
	return nil
}

// taken is what was taken out of a batch.
type taken struct {
	held   []callstore.HeldRoot
	unheld []callstore.HeldRoot // to be judged at once
}

// take shows every span to the store and takes the roots out.
func (p *impactProcessor) take(tenant *callstore.Tenant, td ptrace.Traces) taken {
	var batch taken
	now := p.now()
	span := p.reader.scratch.Get().(*callstore.Span)
	defer p.reader.scratch.Put(span)
	var last callstore.Cursor
	var invalid, judges int64
	emptied := false
	for _, resource := range td.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			if scope.Scope().Name() == judgeScope {
				if !p.config.TrustStamped { // the call is judged anew, by what it was judged by
					judges += int64(scope.Spans().Len())
					scope.Spans().RemoveIf(func(ptrace.Span) bool { return true })
					emptied = true
				}
				continue
			}
			roots := false
			for _, one := range scope.Spans().All() {
				p.reader.read(span, one)
				if span.IsRoot {
					roots = true // seldom: read again below, where spans can be taken out
					continue
				}
				if span.HasVerdict && !p.config.TrustStamped {
					unstamp(one)
				}
				if span.IsInvalid {
					invalid++
				}
				if span.TraceID != (callstore.TraceID{}) {
					p.store.Add(tenant, span, now, &last)
				}
			}
			if !roots {
				continue
			}
			scope.Spans().RemoveIf(func(one ptrace.Span) bool {
				p.reader.read(span, one)
				return span.IsRoot && p.takeRoot(&batch, tenant, span, now, resource, scope, one)
			})
			emptied = emptied || scope.Spans().Len() == 0
		}
	}
	if emptied {
		removeEmpty(td)
	}
	if invalid+judges > 0 {
		p.telemetry.ProcessorCxImpactInvalidSpans.Add(context.Background(), invalid)
		p.telemetry.ProcessorCxImpactRemovedSpans.Add(context.Background(), judges)
	}
	return batch
}

// takeRoot says whether a root is to be taken out of its batch.
func (p *impactProcessor) takeRoot(
	batch *taken, tenant *callstore.Tenant, span *callstore.Span, now int64,
	resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, one ptrace.Span,
) bool {
	span.Payload = payloadOf(resource, scope, one)
	root := callstore.HeldRoot{Trace: span.TraceID, Span: span.SpanID, End: span.End, Payload: span.Payload}
	switch p.store.Add(tenant, span, now, &callstore.Cursor{}) {
	case callstore.Hold:
		batch.held = append(batch.held, root)
	case callstore.HoldNot:
		batch.unheld = append(batch.unheld, root)
	case callstore.Drop:
	case callstore.PassOn:
		if !p.config.TrustStamped {
			unstamp(one)
		}
		return false
	}
	return true
}

// payloadOf is a request with this one span, as it came.
func payloadOf(resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, one ptrace.Span) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	resource.Resource().CopyTo(rs.Resource())
	rs.SetSchemaUrl(resource.SchemaUrl())
	ss := rs.ScopeSpans().AppendEmpty()
	scope.Scope().CopyTo(ss.Scope())
	ss.SetSchemaUrl(scope.SchemaUrl())
	one.CopyTo(ss.Spans().AppendEmpty())
	var marshaler ptrace.ProtoMarshaler
	payload, _ := marshaler.MarshalTraces(td) // of a message made here: it has no error to give
	return payload
}

func removeEmpty(td ptrace.Traces) {
	td.ResourceSpans().RemoveIf(func(resource ptrace.ResourceSpans) bool {
		resource.ScopeSpans().RemoveIf(func(scope ptrace.ScopeSpans) bool { return scope.Spans().Len() == 0 })
		return resource.ScopeSpans().Len() == 0
	})
}

// tenantOf is who a request's metadata says it belongs to.
func (p *impactProcessor) tenantOf(ctx context.Context) (*callstore.Tenant, error) {
	if len(p.config.MetadataKeys) == 0 {
		return p.store.Tenant(""), nil
	}
	info := client.FromContext(ctx)
	values := make([][]string, len(p.config.MetadataKeys))
	for i, key := range p.config.MetadataKeys {
		values[i] = info.Metadata.Get(key)
	}
	name := callstore.NewTenant(values).Name
	p.tenantsMu.Lock()
	defer p.tenantsMu.Unlock()
	if found, ok := p.tenants[name]; ok {
		return found, nil
	}
	if len(p.tenants) >= p.config.MetadataCardinalityLimit {
		return nil, errTenants
	}
	tenant := p.store.Tenant(name)
	p.tenants[name] = tenant
	return tenant, nil
}

// contextOf is a context with a tenant's metadata.
func (p *impactProcessor) contextOf(ctx context.Context, tenant *callstore.Tenant) context.Context {
	if len(p.config.MetadataKeys) == 0 {
		return ctx
	}
	values := tenant.Values()
	held := make(map[string][]string, len(values))
	for i, key := range p.config.MetadataKeys {
		if i < len(values) && values[i] != nil {
			held[strings.ToLower(key)] = values[i]
		}
	}
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(held)})
}

// steadyClock gives Unix times in ns that a step of the machine's clock does not move.
func steadyClock() func() int64 {
	start := time.Now()
	base := start.UnixNano()
	return func() int64 { return base + int64(time.Since(start)) }
}
