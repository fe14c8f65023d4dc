package cximpactconnector

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// registered is a metric in spec/registry.
type registered struct {
	Name, Instrument, Unit string
	Attributes             []struct{ Ref string }
}

func TestMetricsAreThoseOfTheRegistry(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "spec", "registry", "impact.yaml"))
	require.NoError(t, err)
	var content struct{ Metrics []registered }
	require.NoError(t, yaml.Unmarshal(text, &content))
	want := map[string]registered{}
	for _, one := range content.Metrics {
		want[one.Name] = one
	}
	made := newMetricSet(defaults(), nil)
	assert.Len(t, made.all, len(want))
	for _, f := range made.all {
		one := want[f.name]
		assert.Equal(t, one.Unit, f.unit, f.name)
		instrument := "counter"
		if f.shape == spread {
			instrument = "histogram"
		}
		assert.Equal(t, one.Instrument, instrument, f.name)
		refs := []string{}
		for _, attribute := range one.Attributes {
			refs = append(refs, attribute.Ref)
		}
		assert.ElementsMatch(t, refs, f.attributes, f.name)
	}
}

func TestWhatALogRecordCarriesIsInTheRegistry(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "spec", "registry", "spans.yaml"))
	require.NoError(t, err)
	var content struct{ Events []registered }
	require.NoError(t, yaml.Unmarshal(text, &content))
	refs := []string{}
	for _, event := range content.Events {
		for _, attribute := range event.Attributes {
			refs = append(refs, attribute.Ref)
		}
	}
	names := slices.Collect(maps.Keys(checks))
	assert.Subset(t, refs, names)
}
