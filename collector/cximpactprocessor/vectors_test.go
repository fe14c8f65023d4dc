package cximpactprocessor

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// Every case of spec/vectors, cut into requests at random places, gives its verdict on the root, or on the span that
// stands for a call without one.
func TestVectorsInRandomSplits(t *testing.T) {
	cases, err := filepath.Glob("../../spec/vectors/*/input.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 60)
	for number, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var want map[string]any
			require.NoError(t, json.Unmarshal(contentOfFile(t, dir, "expected.json"), &want))
			for seed := range uint64(3) {
				random := rand.New(rand.NewPCG(uint64(number), seed))
				assert.Equal(t, want, verdictOfVector(t, dir, random), "seed %d", seed)
			}
		})
	}
}

func contentOfFile(t *testing.T, parts ...string) []byte {
	content, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return content
}

func verdictOfVector(t *testing.T, dir string, random *rand.Rand) map[string]any {
	config := withStorage()
	config.OnShutdown = persist
	if content, err := os.ReadFile(filepath.Join(dir, "parameters.json")); err == nil {
		require.NoError(t, json.Unmarshal(content, &config.Parameters))
	}
	l := newLife(t, config)
	l.at = epoch
	var unmarshaler ptrace.JSONUnmarshaler
	td, err := unmarshaler.UnmarshalTraces(contentOfFile(t, dir, "input.json"))
	require.NoError(t, err)
	for _, part := range split(td, random) {
		l.consume(part)
		l.pass(time.Second / 4)
	}
	l.taken()
	l.pass(6 * time.Second)
	if got := verdictIn(t, l.taken()); got != nil {
		return got
	}
	l.pass(config.IdleTimeout)
	return verdictIn(t, l.taken())
}

// split makes requests of a request, in its order.
func split(td ptrace.Traces, random *rand.Rand) []ptrace.Traces {
	var parts []ptrace.Traces
	for _, resource := range td.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if len(parts) == 0 || random.IntN(3) == 0 {
					parts = append(parts, ptrace.NewTraces())
				}
				rs := parts[len(parts)-1].ResourceSpans().AppendEmpty()
				resource.Resource().CopyTo(rs.Resource())
				ss := rs.ScopeSpans().AppendEmpty()
				scope.Scope().CopyTo(ss.Scope())
				span.CopyTo(ss.Spans().AppendEmpty())
			}
		}
	}
	return parts
}

// verdictIn gives the stamp of the one span that has one, as JSON reads it.
func verdictIn(t *testing.T, all []arrived) map[string]any {
	var found map[string]any
	for _, one := range all {
		if _, stamped := one.span.Attributes().Get(spec.CxImpactModel); !stamped {
			continue
		}
		require.Nil(t, found, "stamped twice")
		stamp := pcommon.NewMap()
		for name, value := range one.span.Attributes().All() {
			if isStamp(name) {
				value.CopyTo(stamp.PutEmpty(name))
			}
		}
		text, err := json.Marshal(stamp.AsRaw())
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &found))
	}
	return found
}
