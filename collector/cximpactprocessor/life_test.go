package cximpactprocessor

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/cxotel/cxotel/collector/cximpactprocessor/internal/metadata"
)

var storageID = component.MustNewID("file_storage")

// life is a processor whose time a test tells.
type life struct {
	*testing.T
	config *Config
	sink   *consumertest.TracesSink
	host   component.Host
	p      *impactProcessor
	at     int64 // ns
	dir    string
}

// newLife starts a processor, with a real file storage if the configuration names one.
func newLife(t *testing.T, config *Config) *life {
	l := &life{T: t, config: config, sink: &consumertest.TracesSink{}, dir: t.TempDir()}
	l.start()
	t.Cleanup(func() { require.NoError(t, l.p.Shutdown(context.Background())) })
	return l
}

func (l *life) start() {
	l.host = hostWith(l.T, l.dir)
	p, err := newImpactProcessor(processortest.NewNopSettings(metadata.Type), l.config, l.sink)
	require.NoError(l, err)
	p.now = func() int64 { return l.at }
	l.p = p
	if l.config.Storage != nil {
		p.keeper, err = openKeeper(context.Background(), p, l.host)
		require.NoError(l, err)
		p.sender.going.Wait()
	}
}

// hostWith has a file storage in a folder.
func hostWith(t *testing.T, dir string) component.Host {
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory = dir
	extension, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, extension.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, extension.Shutdown(context.Background())) })
	return storageHost{map[component.ID]component.Component{storageID: extension}}
}

type storageHost struct {
	extensions map[component.ID]component.Component
}

func (h storageHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

// step does what the processor does at every tick.
func (l *life) step() {
	l.p.sender.send(l.p.settle(l.p.store.Due, l.at))
	l.p.sender.retry(l.at)
	l.p.sender.going.Wait()
	if l.p.keeper != nil {
		l.p.keeper.keepChanged(l.at)
	}
}

// restart stops the processor and starts another with what it stored; killed leaves it no time to store anything.
func (l *life) restart(killed bool) {
	dir := l.TempDir()
	if killed {
		copyFiles(l.T, l.dir, dir)
	}
	require.NoError(l, l.p.Shutdown(context.Background()))
	if !killed {
		copyFiles(l.T, l.dir, dir)
	}
	l.dir = dir
	l.start()
}

func copyFiles(t *testing.T, from, to string) {
	files, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(from, file.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, file.Name()), content, 0o600))
	}
}

// taken gives the spans that have arrived since it was last called.
func (l *life) taken() []arrived {
	var all []arrived
	for _, td := range l.sink.AllTraces() {
		for _, resource := range td.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					all = append(all, arrived{resource, scope, span})
				}
			}
		}
	}
	l.sink.Reset()
	return all
}

type arrived struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
	span     ptrace.Span
}
