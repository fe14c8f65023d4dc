package cximpactconnector

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/cxotel/cxotel/collector/cximpactconnector/internal/metadata"
)

// telemetry counts what the connector does.
type telemetry struct {
	*metadata.TelemetryBuilder
	output attribute.KeyValue
	kinds  [warning + 1]metric.MeasurementOption
}

func newTelemetry(set component.TelemetrySettings, output string) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	t := &telemetry{TelemetryBuilder: builder, output: attribute.String("output", output)}
	for k := whole; k <= warning; k++ {
		t.kinds[k] = metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", k.String()), t.output))
	}
	return t, nil
}

func (t *telemetry) read(ctx context.Context, k kind) {
	t.ConnectorCxImpactReadSpans.Add(ctx, 1, t.kinds[k])
}

func (t *telemetry) bad(name string) {
	t.ConnectorCxImpactBadValues.Add(context.Background(), 1,
		metric.WithAttributes(attribute.String("attribute", name), t.output))
}

func (t *telemetry) overflowed(name string) {
	t.ConnectorCxImpactOverflows.Add(context.Background(), 1, ofMetric(name))
}

func ofMetric(name string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("metric", name))
}

// steadyClock gives the time of day, but never goes back.
func steadyClock() func() pcommon.Timestamp {
	begin := time.Now()
	return func() pcommon.Timestamp { return pcommon.NewTimestampFromTime(begin.Add(time.Since(begin))) }
}
