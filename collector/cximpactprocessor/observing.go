package cximpactprocessor

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/cxotel/cxotel/collector/internal/callstore"
)

// Several gauges are read in one scrape: the calls are gone through once for all of them.
const gaugesAge = time.Second

// observe registers what is measured when somebody asks.
func (p *impactProcessor) observe() error {
	var mu sync.Mutex
	var at time.Time
	var last callstore.Gauges
	gauge := func(of func(callstore.Gauges) int64) metric.Int64Callback {
		return func(_ context.Context, observer metric.Int64Observer) error {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(at) > gaugesAge {
				last, at = p.store.Gauges(), time.Now()
			}
			observer.Observe(of(last))
			return nil
		}
	}
	counter := func(of func(callstore.Counts) int64) metric.Int64Callback {
		return func(_ context.Context, observer metric.Int64Observer) error {
			observer.Observe(of(p.store.Counts()))
			return nil
		}
	}
	t := p.telemetry
	for _, register := range []func() error{
		func() error {
			return t.RegisterProcessorCxImpactCallsCallback(gauge(func(g callstore.Gauges) int64 { return g.Calls }))
		},
		func() error {
			return t.RegisterProcessorCxImpactRootsHeldCallback(gauge(func(g callstore.Gauges) int64 { return g.RootsHeld }))
		},
		func() error {
			return t.RegisterProcessorCxImpactStateCallback(gauge(func(g callstore.Gauges) int64 { return g.Bytes }))
		},
		func() error {
			return t.RegisterProcessorCxImpactEvictionsCallback(counter(func(c callstore.Counts) int64 { return c.Evictions }))
		},
		func() error {
			return t.RegisterProcessorCxImpactLateSpansCallback(counter(func(c callstore.Counts) int64 { return c.LateSpans }))
		},
		func() error {
			return t.RegisterProcessorCxImpactRepeatedRootsCallback(
				counter(func(c callstore.Counts) int64 { return c.RepeatedRoots }))
		},
		func() error {
			return t.RegisterProcessorCxImpactUnreadSpansCallback(
				counter(func(c callstore.Counts) int64 { return c.UnreadSpans }))
		},
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}
