package cximpactconnector

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/cxotel/cxotel/collector/cximpactconnector/internal/metadata"
	"github.com/cxotel/cxotel/collector/cximpactconnector/internal/metadatatest"
)

const observed = epoch + pcommon.Timestamp(7*time.Second)

// recordsOf sends spans to a connector to logs and gives what it sent, and what it counted as bad.
func recordsOf(t *testing.T, config *Config, spans ...given) ([]plog.Logs, map[string]int64) {
	own := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, own.Shutdown(context.Background())) })
	sink := new(consumertest.LogsSink)
	c, err := newTracesToLogs(metadatatest.NewSettings(own), config, sink)
	require.NoError(t, err)
	c.now = func() pcommon.Timestamp { return observed }
	require.NoError(t, c.Start(context.Background(), componenttest.NewNopHost()))
	td := requestOf(spans...)
	td.MarkReadOnly()
	require.NoError(t, c.ConsumeTraces(context.Background(), td))
	require.NoError(t, c.Shutdown(context.Background()))
	assert.False(t, c.Capabilities().MutatesData)
	return sink.AllLogs(), badValues(t, own)
}

// recordOf is the one record that a span makes.
func recordOf(t *testing.T, span given) plog.LogRecord {
	got, _ := recordsOf(t, defaults(), span)
	require.Len(t, got, 1)
	require.Equal(t, 1, got[0].LogRecordCount())
	return got[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

func TestAVerdictIsALogRecord(t *testing.T) {
	got, bad := recordsOf(t, defaults(), stamped)
	assert.Empty(t, bad)

	want := plog.NewLogs()
	resource := want.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl("resource schema")
	resource.Resource().Attributes().PutStr("service.name", "ivr")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(judgeScope)
	record := scope.LogRecords().AppendEmpty()
	record.SetEventName("cx.impact.verdict")
	record.SetTimestamp(epoch)
	record.SetObservedTimestamp(observed)
	record.SetTraceID(pcommon.TraceID{15: 1})
	record.SetSpanID(pcommon.SpanID{7: 2})
	record.SetFlags(1)
	record.SetSeverityNumber(plog.SeverityNumberWarn)
	record.SetSeverityText("moderate")
	record.Body().SetStr("50.3 s were lost.")
	wantAttributes := map[string]any{
		"cx.call.id": "c-1", "cx.call.direction": "inbound", "cx.call.outcome": "completed",
		"cx.queue.name": "billing", "cx.carrier.name": "Acme", "cx.partner": "BPO North",
		"cx.impact.charge.carrier": 41.7, "cx.impact.charge.agent_network": 8.61, "cx.impact.lost_seconds": 50.31,
		"cx.impact.layer": "carrier", "cx.impact.share": 0.829, "cx.impact.owner": "Acme Telecom",
		"cx.impact.severity": "moderate", "cx.impact.score": 83.2, "cx.impact.coverage": 0.667,
		"cx.impact.outside": int64(0), "cx.impact.partial": false, "cx.impact.model": "1", "cx.impact.skipped": int64(0),
		"cx.media.mos.min": 2.41, "cx.media.mos.mean": 3.42,
	}
	require.Len(t, got, 1)
	gotRecord := got[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, wantAttributes, gotRecord.Attributes().AsRaw())
	gotRecord.Attributes().Clear()
	assert.Equal(t, want, got[0])
}

func TestSeverityIsThatOfTheVerdict(t *testing.T) {
	for severity, want := range map[string]plog.SeverityNumber{
		"none": plog.SeverityNumberInfo, "minor": plog.SeverityNumberInfo2, "moderate": plog.SeverityNumberWarn,
		"severe": plog.SeverityNumberError, "critical": plog.SeverityNumberError2, "awful": plog.SeverityNumberUnspecified,
	} {
		t.Run(severity, func(t *testing.T) {
			record := recordOf(t, stamped.with(attributes{"cx.impact.severity": severity}))
			assert.Equal(t, want, record.SeverityNumber())
			assert.Equal(t, "50.3 s were lost.", record.Body().Str())
		})
	}
}

func TestPartialCallsAndCorrectionsAreLogRecordsToo(t *testing.T) {
	partial := recordOf(t, judged(2, "call (partial)").with(attributes{"cx.impact.partial": true}))
	assert.Equal(t, "cx.impact.verdict", partial.EventName())
	flag, _ := partial.Attributes().Get("cx.impact.partial")
	assert.True(t, flag.Bool())
	corrected := recordOf(t, judged(3, "impact correction"))
	assert.Equal(t, "cx.impact.correction", corrected.EventName())
	assert.Equal(t, pcommon.SpanID{7: 4}, corrected.SpanID())
}

func TestAWarningIsALogRecord(t *testing.T) {
	record := recordOf(t, warningSpan)
	assert.Equal(t, "cx.impact.warning", record.EventName())
	assert.Equal(t, plog.SeverityNumberWarn, record.SeverityNumber())
	assert.Equal(t, "agent_network: loss 12.0 %, 4.7 s", record.Body().Str())
	assert.Equal(t, map[string]any{
		"cx.warning.layer": "agent_network", "cx.warning.what": "loss", "cx.warning.owner": "BPO North",
		"cx.warning.lost_seconds": 4.712,
	}, record.Attributes().AsRaw())
	assert.Equal(t, epoch, record.Timestamp())
	assert.Equal(t, pcommon.TraceID{15: 5}, record.TraceID())
}

func TestARequestIsOneRequestOfRecordsUnderTheirResources(t *testing.T) {
	got, _ := recordsOf(t, defaults(), stamped, ignored["evidence"], warningSpan)
	require.Len(t, got, 1)
	require.Equal(t, 2, got[0].ResourceLogs().Len())
	for i, want := range []string{"ivr", "cx-impact"} {
		name, _ := got[0].ResourceLogs().At(i).Resource().Attributes().Get("service.name")
		assert.Equal(t, want, name.Str())
	}
}

func TestOfOtherSpansThereIsNoRecord(t *testing.T) {
	for name, span := range ignored {
		t.Run(name, func(t *testing.T) {
			got, bad := recordsOf(t, defaults(), span)
			assert.Empty(t, got)
			assert.Empty(t, bad)
		})
	}
}

func TestBadValuesAreLeftOutOfTheRecordAlone(t *testing.T) {
	for name, value := range map[string]any{
		"cx.impact.charge.carrier": "much", "cx.impact.charge.moon": 3.0, "cx.impact.lost_seconds": -1.0,
		"cx.impact.share": 1.5, "cx.impact.score": 101, "cx.impact.coverage": "all", "cx.impact.outside": -1,
		"cx.impact.skipped": 0.5, "cx.impact.partial": "yes", "cx.impact.cost": -0.01, "cx.impact.currency": 978,
		"cx.impact.model": 1, "cx.media.mos.min": 0, "cx.call.id": []any{"c"}, "cx.call.outcome": "lost",
		"cx.impact.summary": 5, "cx.queue.name": []any{},
	} {
		t.Run(name, func(t *testing.T) {
			got, bad := recordsOf(t, defaults(), stamped.with(attributes{name: value}))
			require.Len(t, got, 1)
			record := got[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			_, has := record.Attributes().Get(name)
			assert.False(t, has)
			assert.GreaterOrEqual(t, record.Attributes().Len(), 19)
			require.Len(t, bad, 1)
			for counted, times := range bad {
				assert.Contains(t, name, counted)
				assert.Equal(t, int64(1), times)
			}
		})
	}
}

func TestDimensionsStandOnTheRecord(t *testing.T) {
	config := defaults()
	config.Dimensions = []Dimension{{Name: "cx.site", Default: "nowhere"}, {Name: "service.name"}, {Name: "cx.call.medium"}}
	got, bad := recordsOf(t, config, stamped.with(attributes{"cx.call.medium": "web"}))
	assert.Empty(t, bad)
	values := got[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
	assert.Equal(t, "nowhere", values["cx.site"])
	assert.Equal(t, "ivr", values["service.name"])
	assert.Equal(t, "web", values["cx.call.medium"])
	assert.NotContains(t, values, "cx.queue.name")
}

func TestRecordsThatAreRefusedAreRefusedHere(t *testing.T) {
	full := errors.New("full")
	c, err := NewFactory().CreateTracesToLogs(context.Background(), connectortest.NewNopSettings(metadata.Type),
		defaults(), consumertest.NewErr(full))
	require.NoError(t, err)
	require.ErrorIs(t, c.ConsumeTraces(context.Background(), requestOf(stamped)), full)
	require.NoError(t, c.ConsumeTraces(context.Background(), requestOf(ignored["evidence"])))
	require.NoError(t, c.Shutdown(context.Background()))
}
