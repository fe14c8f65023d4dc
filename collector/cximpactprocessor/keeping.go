package cximpactprocessor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/cxotel/cxotel/collector/internal/callstore"
)

// Names of records. Roots and what was made of them are plain OTLP, so that every version can read them.
const (
	callPrefix = "call/" // then the call's key: facts and state of a call
	rootPrefix = "root/" // then the root's id, the call's key: a root that is held
	sentPrefix = "sent/" // then the first span's id, the call's key: spans that were settled and may not have arrived
	cleanName  = "clean" // there if everything was stored before the last stop
	openName   = "open"  // there from the first start on: when the successor of a killed process began, ns, or 0
)

// Calls stored at a time.
const mostInBatch = 500

// Deletions that wait for a storage that fails: those of an hour at 30 calls a second.
const mostOwed = 200_000

// Facts may be this old when the process is killed: one second is promised.
const keepEvery = 500 * time.Millisecond

// keeper stores what must outlive the process.
//
// Its lock is held from when something leaves the store until it is stored in its new form, so that a root is
// always in one of them.
type keeper struct {
	p      *impactProcessor
	client storage.Client

	mu   sync.Mutex
	last int64
	owed []*storage.Operation // records of what has arrived, which could not be deleted
}

func openKeeper(ctx context.Context, p *impactProcessor, host component.Host) (*keeper, error) {
	id := *p.config.Storage
	extension, ok := host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("storage: no extension %q; is it listed under service.extensions?", id)
	}
	storing, ok := extension.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: the extension %q stores nothing; name one like file_storage", id)
	}
	client, err := storing.GetClient(ctx, component.KindProcessor, p.id, "")
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	k := &keeper{p: p, client: client}
	if err := k.restore(ctx); err != nil { // what is sent again is sent when the processor runs
		return nil, errors.Join(fmt.Errorf("storage: %w", err), client.Close(ctx))
	}
	return k, nil
}

func recordName(root callstore.SpanID, key callstore.Key) string {
	return hex.EncodeToString(root[:]) + "/" + key.Text()
}

// sentName is the record of a release.
func sentName(one *release) string {
	var first callstore.SpanID
	for _, resource := range one.traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			if first == (callstore.SpanID{}) && scope.Spans().Len() > 0 {
				first = callstore.SpanID(scope.Spans().At(0).SpanID())
			}
		}
	}
	return sentPrefix + recordName(first, one.key)
}

// keepRoots stores roots before they are acknowledged; those that could not be stored are given back.
func (k *keeper) keepRoots(tenant *callstore.Tenant, roots []callstore.HeldRoot) []callstore.HeldRoot {
	k.mu.Lock()
	defer k.mu.Unlock()
	var operations []*storage.Operation
	for _, root := range roots {
		key := callstore.Key{Tenant: tenant, Trace: root.Trace}
		if k.p.store.Holds(key, root.Span) { // else it is stored as sent by now
			operations = append(operations, storage.SetOperation(rootPrefix+recordName(root.Span, key), root.Payload))
		}
	}
	if k.write(operations) {
		return nil
	}
	for _, root := range roots {
		k.p.store.Unhold(callstore.Key{Tenant: tenant, Trace: root.Trace}, root.Span)
	}
	return roots
}

// keepReleases stores what is about to be sent in place of the roots it was made of.
func (k *keeper) keepReleases(releases []release) {
	var marshaler ptrace.ProtoMarshaler
	var operations []*storage.Operation
	for i := range releases {
		one := &releases[i]
		payload, err := marshaler.MarshalTraces(one.traces)
		if err != nil {
			continue // of a message made here: it has no error to give
		}
		operations = append(operations, storage.SetOperation(sentName(one), payload))
		operations = append(operations, deleteRoots(one)...)
	}
	k.write(operations)
}

func deleteRoots(one *release) []*storage.Operation {
	operations := make([]*storage.Operation, len(one.roots))
	for i, root := range one.roots {
		name := recordName(root.span, callstore.Key{Tenant: one.key.Tenant, Trace: root.trace})
		operations[i] = storage.DeleteOperation(rootPrefix + name)
	}
	return operations
}

// sent forgets what has arrived.
func (k *keeper) sent(releases []release) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var operations []*storage.Operation
	for i := range releases {
		one := &releases[i]
		// The roots are there if keepReleases failed.
		k.owed = append(append(k.owed, storage.DeleteOperation(sentName(one))), deleteRoots(one)...)
		if record := k.p.store.Record(one.key); record.Value != nil {
			operations = append(operations, storage.SetOperation(callPrefix+record.Name, record.Value))
		}
	}
	k.write(operations)
}

// forget has records of roots deleted that went out at once, when they could be held and stored at an earlier try.
func (k *keeper) forget(tenant *callstore.Tenant, roots []callstore.HeldRoot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, root := range roots {
		name := recordName(root.Span, callstore.Key{Tenant: tenant, Trace: root.Trace})
		k.owed = append(k.owed, storage.DeleteOperation(rootPrefix+name))
	}
	k.write(nil)
}

// keepChanged stores the facts of calls that changed, now and then.
func (k *keeper) keepChanged(now int64) {
	if now-k.last < int64(keepEvery) {
		return
	}
	k.last = now
	k.keepAll()
}

// keepAll stores what changed, in parts, so that no root waits long for the lock.
func (k *keeper) keepAll() bool {
	keys := k.p.store.TakeChanged()
	for len(keys) > 0 {
		part := keys[:min(len(keys), mostInBatch)]
		if !k.keepPart(part) {
			k.p.store.Changed(keys)
			return false
		}
		keys = keys[len(part):]
	}
	return true
}

func (k *keeper) keepPart(keys []callstore.Key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	operations := make([]*storage.Operation, len(keys))
	for i, key := range keys {
		record := k.p.store.Record(key)
		if record.Value == nil {
			operations[i] = storage.DeleteOperation(callPrefix + record.Name)
		} else {
			operations[i] = storage.SetOperation(callPrefix+record.Name, record.Value)
		}
	}
	return k.write(operations)
}

func (k *keeper) write(operations []*storage.Operation) bool {
	all := append(k.owed[:len(k.owed):len(k.owed)], operations...)
	if len(all) == 0 {
		return true
	}
	if err := k.client.Batch(context.Background(), all...); err != nil {
		k.failed(err)
		k.owed = k.owed[max(0, len(k.owed)-mostOwed):]
		return false
	}
	k.owed = nil
	return true
}

func (k *keeper) failed(err error) {
	k.p.telemetry.ProcessorCxImpactStorageFailures.Add(context.Background(), 1)
	k.p.logger.Error("the storage failed; roots are judged at once as partial until it works", zap.Error(err))
}

// close stores what changed and says that nothing is missing.
func (k *keeper) close(ctx context.Context) error {
	if k.keepAll() {
		k.write([]*storage.Operation{storage.SetOperation(cleanName, []byte{1})})
	}
	return k.client.Close(ctx)
}

// restore brings back what an earlier process stored.
func (k *keeper) restore(ctx context.Context) error {
	walker, ok := k.client.(storage.Walker)
	if !ok {
		return errors.New("the extension cannot be walked; use one that can, such as file_storage")
	}
	clean, err := k.client.Get(ctx, cleanName)
	if err != nil {
		return err
	}
	open, err := k.client.Get(ctx, openName)
	if err != nil {
		return err
	}
	var roots, sent, calls []callstore.Record
	err = walker.Walk(ctx, func(name string, value []byte) ([]*storage.Operation, error) {
		for prefix, into := range map[string]*[]callstore.Record{
			callPrefix: &calls, rootPrefix: &roots, sentPrefix: &sent,
		} {
			if rest, found := strings.CutPrefix(name, prefix); found {
				*into = append(*into, callstore.Record{Name: rest, Value: append([]byte(nil), value...)})
			}
		}
		if name == cleanName {
			return []*storage.Operation{storage.DeleteOperation(name)}, nil
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	now := k.p.now()
	killed := killedAt(open, clean != nil, now)
	k.p.store.Killed(killed)
	k.write([]*storage.Operation{storage.SetOperation(openName, binary.BigEndian.AppendUint64(nil, uint64(killed)))})
	k.restoreCalls(calls, now, clean != nil)
	k.restoreRoots(roots, now)
	k.restoreSent(sent, now)
	if len(calls)+len(roots)+len(sent) > 0 {
		k.p.logger.Info("calls restored", zap.Int("calls", len(calls)), zap.Int("roots", len(roots)),
			zap.Int("to send again", len(sent)), zap.Bool("clean stop", clean != nil))
	}
	return nil
}

// killedAt is when the successor of the last process that was killed began; 0 if none was.
func killedAt(open []byte, clean bool, now int64) int64 {
	switch {
	case open == nil: // the first start
		return 0
	case clean && len(open) == 8:
		return min(int64(binary.BigEndian.Uint64(open)), now)
	}
	return now
}

func (k *keeper) restoreCalls(records []callstore.Record, now int64, clean bool) {
	for _, one := range records {
		if err := k.p.store.Restore(one, now, clean); err != nil {
			k.unreadable(callPrefix, one, err)
			if key, err := k.p.store.ParseKey(one.Name); err == nil {
				k.p.store.Missed(key, now)
			}
		}
	}
}

// restoreRoots holds roots again, for a whole grace: what was lost by the stop may come yet.
func (k *keeper) restoreRoots(records []callstore.Record, now int64) {
	span := k.p.reader.scratch.Get().(*callstore.Span)
	defer k.p.reader.scratch.Put(span)
	for _, one := range records {
		key, roots, td, err := k.stored(one)
		if err == nil && len(roots) == 0 {
			err = errStored
		}
		if err != nil {
			k.unreadable(rootPrefix, one, err)
			continue
		}
		if !k.p.store.Knows(key) {
			k.p.store.Missed(key, now)
		}
		k.p.reader.read(span, roots[0])
		span.Payload, span.IsStamped = one.Value, false
		switch k.p.store.Add(key.Tenant, span, now, &callstore.Cursor{}) {
		case callstore.Hold:
		case callstore.Drop: // it has gone out with its verdict
			k.write([]*storage.Operation{storage.DeleteOperation(rootPrefix + one.Name)})
		default:
			unstamp(roots[0])
			passed := []release{{key: key, roots: []rootID{{span.TraceID, span.SpanID}}, traces: td}}
			k.keepReleases(passed)
			k.p.sender.sendSoon(passed)
		}
	}
}

// restoreSent sends again what may not have arrived: the same spans, so that copies do no harm.
func (k *keeper) restoreSent(records []callstore.Record, now int64) {
	var again []release
	for _, one := range records {
		key, roots, td, err := k.stored(one)
		if err != nil {
			k.unreadable(sentPrefix, one, err)
			continue
		}
		if len(roots) > 0 && !k.p.store.Knows(key) {
			k.p.store.Missed(key, now)
		}
		ids := make([]rootID, len(roots))
		for i, root := range roots {
			ids[i] = rootID{callstore.TraceID(root.TraceID()), callstore.SpanID(root.SpanID())}
			k.p.store.SentBefore(key, ids[i].span, now)
		}
		again = append(again, release{key: key, roots: ids, traces: td})
	}
	k.p.sender.sendSoon(again)
}

var errStored = errors.New("not spans as this processor stores them")

// stored reads a record of spans, and gives the roots among them.
func (k *keeper) stored(one callstore.Record) (callstore.Key, []ptrace.Span, ptrace.Traces, error) {
	_, name, _ := strings.Cut(one.Name, "/")
	key, err := k.p.store.ParseKey(name)
	if err != nil {
		return key, nil, ptrace.Traces{}, err
	}
	var unmarshaler ptrace.ProtoUnmarshaler
	td, err := unmarshaler.UnmarshalTraces(one.Value)
	if err != nil {
		return key, nil, ptrace.Traces{}, err
	}
	var roots []ptrace.Span
	for _, resource := range td.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			if scope.Scope().Name() == judgeScope {
				continue
			}
			for _, span := range scope.Spans().All() {
				roots = append(roots, span)
			}
		}
	}
	if td.SpanCount() == 0 {
		return key, nil, td, errStored
	}
	return key, roots, td, nil
}

func (k *keeper) unreadable(prefix string, one callstore.Record, err error) {
	k.p.telemetry.ProcessorCxImpactStorageFailures.Add(context.Background(), 1)
	k.p.logger.Error("a stored record cannot be read, its call is partial",
		zap.String("record", prefix+one.Name), zap.Error(err))
}
