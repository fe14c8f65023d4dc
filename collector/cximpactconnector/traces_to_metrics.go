package cximpactconnector

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

const (
	judgeService = "cx-impact"
	instanceID   = "service.instance.id"
)

// tracesToMetrics counts verdicts and warnings, and sends what they have come to.
type tracesToMetrics struct {
	interval  time.Duration
	logger    *zap.Logger
	telemetry *telemetry
	next      consumer.Metrics
	reader    reader
	instance  string
	now       func() pcommon.Timestamp

	mu      sync.Mutex // over metrics
	metrics *metricSet

	flushing sync.Mutex // so that no flush overtakes another
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

func newTracesToMetrics(set connector.Settings, config *Config, next consumer.Metrics) (*tracesToMetrics, error) {
	telemetry, err := newTelemetry(set.TelemetrySettings, "metrics")
	if err != nil {
		return nil, err
	}
	c := &tracesToMetrics{
		interval:  config.FlushInterval,
		logger:    set.Logger,
		telemetry: telemetry,
		next:      next,
		reader:    reader{config.Dimensions, telemetry.bad},
		instance:  instanceOf(set),
		now:       steadyClock(),
		metrics:   newMetricSet(config, telemetry.overflowed),
		cancel:    func() {},
	}
	return c, telemetry.RegisterConnectorCxImpactSeriesCallback(c.observe)
}

// instanceOf is what tells the series of this connector from those of others that count the same: the Collector's own
// id, and the name of the connector if it has one.
func instanceOf(set connector.Settings) string {
	instance := rand.Text()
	if value, found := set.Resource.Attributes().Get(instanceID); found && value.AsString() != "" {
		instance = value.AsString()
	}
	if set.ID.Name() != "" {
		instance += "/" + set.ID.Name()
	}
	return instance
}

func (c *tracesToMetrics) observe(_ context.Context, observer metric.Int64Observer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.metrics.all {
		observer.Observe(int64(len(f.series)), ofMetric(f.name))
	}
	return nil
}

// Capabilities say that spans are only read.
func (*tracesToMetrics) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// Start begins to flush.
func (c *tracesToMetrics) Start(context.Context, component.Host) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.done.Go(func() { c.run(ctx) })
	return nil
}

func (c *tracesToMetrics) run(ctx context.Context) {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := c.flush(ctx, false); err != nil && ctx.Err() == nil {
				c.logger.Warn("Metrics were refused; the next flush has them", zap.Error(err))
			}
		}
	}
}

// Shutdown sends what has been counted.
func (c *tracesToMetrics) Shutdown(ctx context.Context) error {
	c.cancel()
	c.done.Wait()
	c.telemetry.Shutdown()
	return c.flush(ctx, true)
}

// ConsumeTraces counts what the spans say. It has no error to give: nothing that can be read is refused.
func (c *tracesToMetrics) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	for _, resource := range td.ResourceSpans().All() {
		each(resource, func(k kind, span ptrace.Span) {
			c.telemetry.read(ctx, k)
			c.count(k, resource.Resource(), span)
		})
	}
	return nil
}

func (c *tracesToMetrics) count(k kind, resource pcommon.Resource, span ptrace.Span) {
	from := origin{span.TraceID(), span.SpanID()}
	if k == warning {
		w := c.reader.warning(span)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.metrics.addWarning(c.now(), from, w)
		return
	}
	v := c.reader.verdict(resource, span)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metrics.addVerdict(k, c.now(), from, &v)
}

// flush sends all series; the last time with their values even if they are new.
func (c *tracesToMetrics) flush(ctx context.Context, last bool) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	md, first := c.collect(last)
	if md.MetricCount() == 0 {
		return nil
	}
	if err := c.next.ConsumeMetrics(ctx, md); err != nil {
		c.telemetry.ConnectorCxImpactFailedFlushes.Add(ctx, 1)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range first {
		s.told = true
	}
	return nil
}

func (c *tracesToMetrics) collect(last bool) (md pmetric.Metrics, first []*series) {
	md = pmetric.NewMetrics()
	resource := md.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr(spec.ServiceName, judgeService)
	resource.Resource().Attributes().PutStr(instanceID, c.instance)
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName(judgeScope)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, f := range c.metrics.all {
		told, forgot := f.write(scope.Metrics(), now, last)
		first = append(first, told...)
		if forgot > 0 {
			c.telemetry.ConnectorCxImpactExpiredSeries.Add(context.Background(), int64(forgot), ofMetric(f.name))
		}
	}
	return md, first
}
