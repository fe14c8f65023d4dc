package cximpactprocessor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/callstore"
	"github.com/cxotel/cxotel/collector/internal/spec"
)

// records are the names of what is stored, those with this prefix.
func (l *life) records(prefix string) []string {
	var names []string
	walk := func(name string, _ []byte) ([]*storage.Operation, error) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return nil, nil
	}
	require.NoError(l, l.p.keeper.client.(storage.Walker).Walk(context.Background(), walk))
	return names
}

// names are those of the spans that have arrived since this was last asked.
func (l *life) names() []string {
	var all []string
	for _, one := range l.taken() {
		all = append(all, one.span.Name())
	}
	return all
}

func TestARootOfAnotherKeyIsForgottenWhenItHasGone(t *testing.T) {
	l := newLife(t, withStorage())
	l.at = epoch
	root, alias := rootSpan, queueSpan
	root.Call, alias.Alias = "B", []string{"B"}
	l.consume(requestOf(root))
	l.consume(requestOf(alias))
	l.taken()
	l.pass(6 * time.Second)
	assert.Contains(t, l.names(), "call inbound")
	assert.Empty(t, l.records(rootPrefix))
	l.restart(true)
	l.pass(20 * time.Second)
	assert.Empty(t, l.names())
}

func TestARootLeftInTheStorageIsNotSentAgain(t *testing.T) {
	l := newLife(t, withStorage())
	l.at = epoch
	l.consume(requestOf(rootSpan))
	l.pass(6 * time.Second)
	left := rootPrefix + recordName([8]byte(numbered(rootSpan.ID)), callstore.Key{Tenant: l.p.store.Tenant(""), Trace: callIDs(defaultNamespace, "A").Trace})
	require.NoError(t, l.p.keeper.client.Set(context.Background(), left, payloadOfSpan(rootSpan)))
	l.restart(true)
	l.taken()
	l.pass(20 * time.Second)
	assert.Empty(t, l.names())
	assert.Empty(t, l.records(rootPrefix))
}

func payloadOfSpan(span lifecycleSpan) []byte {
	resource := requestOf(span).ResourceSpans().At(0)
	scope := resource.ScopeSpans().At(0)
	return payloadOf(resource, scope, scope.Spans().At(0))
}

func TestACorrectionThatWasDueOutlivesARestart(t *testing.T) {
	for name, killed := range map[string]bool{"killed": true, "clean": false} {
		t.Run(name, func(t *testing.T) {
			config := withStorage()
			config.OnShutdown = persist
			l := newLife(t, config)
			l.at = epoch
			l.consume(requestOf(rootSpan))
			l.pass(6 * time.Second)
			l.consume(requestOf(queueSpan))
			l.pass(time.Second)
			l.restart(killed)
			l.taken()
			l.pass(6 * time.Second)
			got := l.taken()
			require.Len(t, got, 1)
			assert.Equal(t, spec.SpanImpactCorrection, got[0].span.Name())
			lost, _ := got[0].span.Attributes().Get(spec.CxImpactLostSeconds)
			assert.Equal(t, 25.0, lost.Double())
			l.restart(killed)
			l.pass(20 * time.Second)
			assert.Empty(t, l.names(), "nothing has changed since")
		})
	}
}

func TestACallThatWasKilledStaysPartialOverACleanStop(t *testing.T) {
	l := newLife(t, withStorage())
	l.at = epoch
	l.consume(requestOf(queueSpan))
	l.pass(time.Second)
	l.restart(true)
	l.restart(false)
	l.consume(requestOf(rootSpan))
	l.taken()
	l.pass(6 * time.Second)
	partial, _ := l.taken()[0].span.Attributes().Get(spec.CxImpactPartial)
	assert.True(t, partial.Bool())
}

func TestVerdictsThatHaveNotArrivedAreSentAgainWhenTheProcessorRuns(t *testing.T) {
	l := newLife(t, withStorage())
	l.p.next = &refusing{err: errors.New("not now")}
	l.at = epoch
	for _, call := range []string{"A", "B", "C"} {
		root := rootSpan
		root.Call = call
		l.consume(requestOf(root))
	}
	l.pass(6 * time.Second)
	l.restart(true)
	assert.Empty(t, l.names(), "a next component that takes its time does not keep the Collector from starting")
	l.pass(tick)
	assert.Len(t, l.names(), 3)
	assert.Empty(t, l.records(sentPrefix))
}

func TestARootThatHadGoneIsKnownWithoutTheFactsOfItsCall(t *testing.T) {
	l := newLife(t, withStorage())
	l.p.next = &refusing{err: errors.New("not now")}
	l.at = epoch
	l.consume(requestOf(rootSpan))
	l.pass(6 * time.Second)
	for _, name := range l.records(callPrefix) {
		require.NoError(t, l.p.keeper.client.Delete(context.Background(), name))
	}
	dir := l.dir
	l.dir = t.TempDir()
	copyFiles(t, dir, l.dir) // as if it had been killed before the facts were stored
	require.NoError(t, l.p.Shutdown(context.Background()))
	l.start()
	l.pass(tick)
	assert.Len(t, l.names(), 1)
	l.consume(requestOf(rootSpan))
	l.pass(20 * time.Second)
	assert.NotContains(t, l.names(), "call inbound", "it has gone out")
}

func TestACallThatRanWhenItsFactsWereLostIsPartial(t *testing.T) {
	for name, one := range map[string]struct {
		from, to float64 // s from the crash
		killed   bool
		want     bool
	}{
		"it ran":                  {-45, 1, true, true},
		"its root was on its way": {-90, -20, true, true},
		"it began later":          {0.1, 1, true, false},
		"it ended long before":    {-2000, -1000, true, false},
		"nothing was lost":        {-45, 1, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := withStorage()
			config.OnShutdown = persist
			l := newLife(t, config)
			l.at = epoch
			l.restart(one.killed)
			l.restart(false)
			l.pass(time.Second)
			root := rootSpan
			root.From, root.To = one.from, one.to
			l.consume(requestOf(root))
			l.pass(6 * time.Second)
			partial, _ := l.taken()[0].span.Attributes().Get(spec.CxImpactPartial)
			assert.Equal(t, one.want, partial.Bool())
		})
	}
}

// failing stores nothing as long as it is on.
type failing struct {
	storage.Client
	on bool
}

func (f *failing) Batch(ctx context.Context, operations ...*storage.Operation) error {
	if f.on {
		return storage.ErrStorageFull
	}
	return f.Client.Batch(ctx, operations...)
}

func TestARootThatWentWhileTheStorageFailedIsNotSentLongAfter(t *testing.T) {
	l := newLife(t, withStorage())
	storing := &failing{Client: l.p.keeper.client}
	l.p.keeper.client = storing
	l.at = epoch
	l.consume(requestOf(rootSpan))
	storing.on = true
	l.pass(6 * time.Second)
	storing.on = false
	assert.Len(t, l.names(), 1)
	other := rootSpan
	other.Call = "B"
	l.consume(requestOf(other))
	l.pass(6 * time.Second)
	l.pass(time.Hour)
	l.taken()
	l.p.keeper.client = storing.Client
	assert.Empty(t, l.records(rootPrefix))
	assert.Empty(t, l.records(sentPrefix))
	l.restart(false)
	l.pass(20 * time.Second)
	assert.Empty(t, l.names())
}

func TestACorrectionThatHasNotArrivedIsSentAgain(t *testing.T) {
	l := newLife(t, withStorage())
	l.at = epoch
	l.consume(requestOf(rootSpan))
	l.pass(6 * time.Second)
	l.consume(requestOf(queueSpan))
	l.p.next = &refusing{err: errors.New("not now")}
	l.pass(6 * time.Second)
	l.restart(true)
	l.taken()
	l.pass(tick)
	assert.Equal(t, []string{spec.SpanImpactCorrection}, l.names())
	assert.Empty(t, l.records(sentPrefix))
	l.pass(20 * time.Second)
	assert.Empty(t, l.names())
}

func TestACorrectionAfterACrashMayLackLateSpans(t *testing.T) {
	for name, killed := range map[string]bool{"killed": true, "clean": false} {
		t.Run(name, func(t *testing.T) {
			config := withStorage()
			config.OnShutdown = persist
			l := newLife(t, config)
			l.at = epoch
			l.consume(requestOf(rootSpan))
			l.pass(6 * time.Second)
			late := queueSpan
			late.ID, late.From, late.To = 3, 50, 90
			l.consume(requestOf(late)) // not stored yet
			l.restart(killed)
			l.restart(false)
			l.consume(requestOf(queueSpan))
			l.taken()
			l.pass(6 * time.Second)
			correction := l.taken()[0].span.Attributes()
			partial, _ := correction.Get(spec.CxImpactPartial)
			assert.Equal(t, killed, partial.Bool())
			lost, _ := correction.Get(spec.CxImpactLostSeconds)
			assert.Equal(t, map[bool]float64{true: 25, false: 45}[killed], lost.Double())
		})
	}
}

func TestARootThatCameAgainWhileTheStorageFailedIsNotSentLongAfter(t *testing.T) {
	l := newLife(t, withStorage())
	storing := &failing{Client: l.p.keeper.client}
	l.p.keeper.client = storing
	l.at = epoch
	l.consume(requestOf(rootSpan))
	storing.on = true
	l.consume(requestOf(rootSpan)) // its sender did not hear that it was acknowledged
	assert.Len(t, l.names(), 1)
	storing.on = false
	l.pass(6 * time.Second)
	l.pass(time.Hour)
	l.p.keeper.client = storing.Client
	assert.Empty(t, l.records(rootPrefix))
	l.restart(false)
	l.pass(20 * time.Second)
	assert.Empty(t, l.names())
}

// hanging answers when it is told to stop.
type hanging struct{ consumertest.TracesSink }

func (*hanging) ConsumeTraces(ctx context.Context, _ ptrace.Traces) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStopDoesNotWaitForANextComponentThatHangs(t *testing.T) {
	config := withStorage()
	config.OnShutdown = persist
	l := newLife(t, config)
	l.p.next = &hanging{}
	l.at = epoch
	for _, call := range []string{"A", "B"} {
		root := rootSpan
		root.Call = call
		l.consume(requestOf(root))
		l.at += int64(6 * time.Second)
		l.p.sender.send(l.p.settle(l.p.store.Due, l.at))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // in place of lastTryStored
	defer cancel()
	dir := l.dir
	require.NoError(t, l.p.Shutdown(ctx))
	l.dir = t.TempDir()
	copyFiles(t, dir, l.dir)
	l.start()
	l.pass(tick)
	assert.Len(t, l.names(), 2)
}
