package cximpactprocessor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/cxotel/cxotel/collector/internal/callstore"
)

const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
	// Requests under way at once; past them what is due waits.
	mostRequests = 4
	// How long a stop waits for the next component, which may itself try again without end. With a storage nothing is
	// lost by going; without one this is well within the 30 s that Kubernetes gives.
	lastTryStored, lastTry = 5 * time.Second, 20 * time.Second
)

// release is an emission as spans. Its content is settled: it is sent until somebody takes it.
type release struct {
	key    callstore.Key
	roots  []rootID
	traces ptrace.Traces
}

// rootID names a root by its own trace, which may be another than its call's.
type rootID struct {
	trace callstore.TraceID
	span  callstore.SpanID
}

func rootsOf(one callstore.Emission) []rootID {
	roots := make([]rootID, 0, len(one.Others)+1)
	for _, other := range one.Others {
		roots = append(roots, rootID{other.Trace, other.Span})
	}
	if one.Kind == callstore.Judged {
		roots = append(roots, rootID{one.Root.Trace, one.Root.Span})
	}
	return roots
}

// group is one request's worth of releases of one tenant.
type group struct {
	releases []release
	tries    int
	next     int64 // when it is tried again
}

// sender sends releases, and again those that were refused.
type sender struct {
	p      *impactProcessor
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	going  sync.WaitGroup

	mu      sync.Mutex
	refused []*group
	count   int // releases not yet taken by the next component
}

func newSender(p *impactProcessor) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	return &sender{p: p, ctx: ctx, cancel: cancel, slots: make(chan struct{}, mostRequests)}
}

func (s *sender) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// send begins to send releases. It waits while too many requests are under way.
func (s *sender) send(releases []release) {
	for _, one := range s.grouped(releases) {
		s.start(one)
	}
}

// sendSoon has releases sent by the next retry, and does not wait.
func (s *sender) sendSoon(releases []release) {
	groups := s.grouped(releases)
	s.mu.Lock()
	s.refused = append(s.refused, groups...)
	s.mu.Unlock()
}

// grouped makes requests of releases, and counts them as waiting.
func (s *sender) grouped(releases []release) []*group {
	s.mu.Lock()
	s.count += len(releases)
	s.mu.Unlock()
	var groups []*group
	byTenant := map[*callstore.Tenant][]release{}
	for _, one := range releases {
		byTenant[one.key.Tenant] = append(byTenant[one.key.Tenant], one)
	}
	for _, all := range byTenant {
		for len(all) > 0 {
			n := min(len(all), mostInRequest)
			groups = append(groups, &group{releases: all[:n:n]})
			all = all[n:]
		}
	}
	return groups
}

// retry begins to send again what was refused and is due.
func (s *sender) retry(now int64) {
	s.mu.Lock()
	var due []*group
	kept := s.refused[:0]
	for _, one := range s.refused {
		if one.next <= now {
			due = append(due, one)
		} else {
			kept = append(kept, one)
		}
	}
	s.refused = kept
	s.mu.Unlock()
	for _, one := range due {
		s.start(one)
	}
}

func (s *sender) start(one *group) {
	select {
	case s.slots <- struct{}{}:
		s.going.Go(func() {
			defer func() { <-s.slots }()
			s.attempt(s.ctx, one)
		})
	case <-s.p.stop: // the next component takes its time: tried a last time in close
		s.mu.Lock()
		s.refused = append(s.refused, one)
		s.mu.Unlock()
	}
}

// attempt sends a group; what is refused for now is tried again later.
func (s *sender) attempt(ctx context.Context, one *group) {
	err := s.consume(ctx, one)
	switch {
	case err == nil:
		s.settled(one)
		if s.p.keeper != nil {
			s.p.keeper.sent(one.releases)
		}
	case consumererror.IsPermanent(err):
		s.settled(one)
		s.discard(one, err)
	default:
		s.p.telemetry.ProcessorCxImpactReleaseRetries.Add(ctx, 1)
		s.p.logger.Warn("the next component refused verdicts, they are sent again",
			zap.Int("verdicts", len(one.releases)), zap.Int("tries", one.tries+1), zap.Error(err))
		wait := min(firstRetry<<min(one.tries, 16), lastRetry)
		one.tries++
		s.mu.Lock()
		one.next = s.p.now() + int64(wait)
		s.refused = append(s.refused, one)
		s.mu.Unlock()
	}
}

// consume hands a copy of a group's spans on: what comes next may change them, and they may be sent again.
func (s *sender) consume(ctx context.Context, one *group) error {
	td := ptrace.NewTraces()
	for _, release := range one.releases {
		copied := ptrace.NewTraces()
		release.traces.CopyTo(copied)
		copied.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	return s.p.next.ConsumeTraces(s.p.contextOf(ctx, one.releases[0].key.Tenant), td)
}

func (s *sender) settled(one *group) {
	s.mu.Lock()
	s.count -= len(one.releases)
	s.mu.Unlock()
}

// discard gives up what the next component refuses for good.
func (s *sender) discard(one *group, err error) {
	roots := 0
	for _, release := range one.releases {
		roots += len(release.roots)
	}
	s.p.telemetry.ProcessorCxImpactDiscardedRoots.Add(context.Background(), int64(roots))
	s.p.logger.Error("the next component refused verdicts for good, they are lost",
		zap.Int("verdicts", len(one.releases)), zap.Int("roots", roots), zap.Error(err))
	if s.p.keeper != nil {
		s.p.keeper.sent(one.releases)
	}
}

// close waits for what is under way and tries the refused a last time. What is refused still stays in the
// storage; without one it is lost.
func (s *sender) close(ctx context.Context) error {
	defer s.cancel()
	defer context.AfterFunc(ctx, s.cancel)()
	patience := lastTry
	if s.p.keeper != nil {
		patience = lastTryStored
	}
	defer time.AfterFunc(patience, s.cancel).Stop()
	s.going.Wait()
	var lost []release
	var last error
	for _, one := range s.refused {
		if err := s.consume(s.ctx, one); err != nil {
			lost, last = append(lost, one.releases...), err
		} else if s.p.keeper != nil {
			s.p.keeper.sent(one.releases)
		}
	}
	s.refused = nil
	if len(lost) == 0 || s.p.keeper != nil {
		return nil
	}
	s.discard(&group{releases: lost}, last)
	return fmt.Errorf("cx_impact: %d verdicts could not be sent before shutdown: %w", len(lost), last)
}
