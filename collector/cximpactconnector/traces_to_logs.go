package cximpactconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// severities are the numbers of a verdict's severity: those that the logs data model gives to syslog's
// informational, notice, warning, error and critical.
var severities = map[string]plog.SeverityNumber{
	spec.CxImpactSeverityNone:     plog.SeverityNumberInfo,
	spec.CxImpactSeverityMinor:    plog.SeverityNumberInfo2,
	spec.CxImpactSeverityModerate: plog.SeverityNumberWarn,
	spec.CxImpactSeveritySevere:   plog.SeverityNumberError,
	spec.CxImpactSeverityCritical: plog.SeverityNumberError2,
}

// tracesToLogs makes a log record of each verdict and warning, and passes it on at once.
type tracesToLogs struct {
	component.StartFunc
	telemetry *telemetry
	next      consumer.Logs
	reader    reader
	now       func() pcommon.Timestamp
}

func newTracesToLogs(set connector.Settings, config *Config, next consumer.Logs) (*tracesToLogs, error) {
	telemetry, err := newTelemetry(set.TelemetrySettings, "logs")
	if err != nil {
		return nil, err
	}
	return &tracesToLogs{
		telemetry: telemetry,
		next:      next,
		reader:    reader{config.Dimensions, telemetry.bad},
		now:       steadyClock(),
	}, nil
}

// Capabilities say that spans are only read.
func (*tracesToLogs) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// Shutdown ends the connector's own telemetry; there is nothing to send.
func (c *tracesToLogs) Shutdown(context.Context) error {
	c.telemetry.Shutdown()
	return nil
}

// ConsumeTraces sends a log record for each verdict and warning in the request, under the resources of their spans.
func (c *tracesToLogs) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	ld := plog.NewLogs()
	now := c.now()
	for _, resource := range td.ResourceSpans().All() {
		records := plog.NewLogRecordSlice()
		each(resource, func(k kind, span ptrace.Span) {
			c.telemetry.read(ctx, k)
			record := records.AppendEmpty()
			record.SetObservedTimestamp(now)
			c.write(record, k, resource.Resource(), span)
		})
		if records.Len() > 0 {
			addRecords(ld, resource, records)
		}
	}
	if ld.ResourceLogs().Len() == 0 {
		return nil
	}
	return c.next.ConsumeLogs(ctx, ld)
}

func addRecords(into plog.Logs, from ptrace.ResourceSpans, records plog.LogRecordSlice) {
	resource := into.ResourceLogs().AppendEmpty()
	from.Resource().CopyTo(resource.Resource())
	resource.SetSchemaUrl(from.SchemaUrl())
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(judgeScope)
	records.MoveAndAppendTo(scope.LogRecords())
}

func (c *tracesToLogs) write(record plog.LogRecord, k kind, resource pcommon.Resource, span ptrace.Span) {
	record.SetTimestamp(span.EndTimestamp())
	record.SetTraceID(span.TraceID())
	record.SetSpanID(span.SpanID())
	record.SetFlags(plog.LogRecordFlags(span.Flags() & 0xff)) // W3C trace flags; the other bits are a span's own
	c.copyAttributes(record.Attributes(), span)
	if k == warning {
		record.SetEventName(spec.EventCxImpactWarning)
		record.SetSeverityNumber(plog.SeverityNumberWarn)
		record.SetSeverityText("warning")
		record.Body().SetStr(span.Status().Message())
		return
	}
	record.SetEventName(spec.EventCxImpactVerdict)
	if k == correction {
		record.SetEventName(spec.EventCxImpactCorrection)
	}
	if severity, found := record.Attributes().Get(spec.CxImpactSeverity); found {
		record.SetSeverityNumber(severities[severity.Str()])
		record.SetSeverityText(severity.Str())
	}
	if summary, found := span.Attributes().Get(spec.CxImpactSummary); found && isSummary(summary) {
		record.Body().SetStr(summary.Str())
	} else if found {
		c.reader.bad(spec.CxImpactSummary)
	}
	for i, value := range c.reader.valuesOf(resource, span) {
		name := c.reader.dimensions[i].Name
		if _, has := record.Attributes().Get(name); !has && value != "" {
			record.Attributes().PutStr(name, value)
		}
	}
}

// copyAttributes copies what of a verdict or a warning is one value: lists are for people who look at the trace.
func (c *tracesToLogs) copyAttributes(into pcommon.Map, span ptrace.Span) {
	into.EnsureCapacity(span.Attributes().Len())
	for name, value := range span.Attributes().All() {
		check, known := checks[name]
		if layer, is := chargedLayer(name); is {
			if known = true; layer < 0 {
				name = spec.CxImpactCharge
			}
			check = func(value pcommon.Value) bool { return layer >= 0 && isSeconds(value) }
		}
		if !known {
			continue
		}
		if !check(value) {
			c.reader.bad(name)
			continue
		}
		value.CopyTo(into.PutEmpty(name))
	}
}
