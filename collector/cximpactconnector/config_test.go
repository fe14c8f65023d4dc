package cximpactconnector

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.yaml.in/yaml/v3"
)

func loaded(t *testing.T, conf *confmap.Conf) *Config {
	config := defaults()
	require.NoError(t, conf.Unmarshal(config))
	return config
}

func TestEverySettingCanBeGiven(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for name, want := range map[string]*Config{
		"cx_impact": defaults(),
		"cx_impact/all": {
			Dimensions:         []Dimension{{Name: "cx.site", Default: "unknown"}, {Name: "cx.call.namespace"}},
			FlushInterval:      30 * time.Second,
			CardinalityLimit:   10_000,
			SeriesExpiration:   0,
			ExemplarsPerSeries: 0,
			MosBuckets:         []float64{2.58, 4.03},
		},
		"cx_impact/no_dimensions": func() *Config {
			config := defaults()
			config.Dimensions = []Dimension{}
			return config
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := file.Sub(name)
			require.NoError(t, err)
			got := loaded(t, sub)
			require.NoError(t, got.Validate())
			assert.Equal(t, want, got)
		})
	}
}

func TestWhatCannotBeIsRefusedWithAMessageThatNamesTheSettingAndTheFix(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"dimensions[0]: has no name; give the name of an attribute":                                dimension(""),
		"dimensions[0]: cx.layer is written anyway, where it applies; leave it out":                dimension("cx.layer"),
		"dimensions[0]: otel.metric.overflow is written anyway, where it applies; leave it out":    dimension("otel.metric.overflow"),
		"dimensions[0]: cx.pii.phone is personal; metrics and log records must not carry it":       dimension("cx.pii.phone"),
		"dimensions[1]: a is given twice":                                                          dimension("a", "a"),
		"dimensions[0]: default has 257 bytes; at most 256":                                        func(c *Config) { c.Dimensions[0].Default = strings.Repeat("x", 257) },
		"flush_interval: 0s given; less than 100ms; write the unit, such as flush_interval: 15s":   func(c *Config) { c.FlushInterval = 0 },
		"flush_interval: 5ns given; less than 100ms; write the unit":                               func(c *Config) { c.FlushInterval = 5 },
		"flush_interval: -1s given; less than 100ms":                                               func(c *Config) { c.FlushInterval = -time.Second },
		"series_expiration: 60ns given; less than 100ms; write the unit":                           func(c *Config) { c.SeriesExpiration = 60 },
		"series_expiration: 29s given; must be 0s (never), or at least twice flush_interval (15s)": func(c *Config) { c.SeriesExpiration = 29 * time.Second },
		"series_expiration: -1s given":                                                             func(c *Config) { c.SeriesExpiration = -time.Second },
		"exemplars_per_series: -1 given; must not be negative":                                     func(c *Config) { c.ExemplarsPerSeries = -1 },
		"mos_buckets[1]: 2 given; bounds are numbers, each greater than the one before":            func(c *Config) { c.MosBuckets = []float64{2, 2} },
		"mos_buckets: no bounds given; leave it out for the default ones":                          func(c *Config) { c.MosBuckets = nil },
		"mos_buckets[0]: NaN given":                                                                func(c *Config) { c.MosBuckets = []float64{math.NaN()} },
		"cardinality_limit value must be greater than or equal to 2":                               func(c *Config) { c.CardinalityLimit = 1 },
	} {
		t.Run(want, func(t *testing.T) {
			config := defaults()
			change(config)
			require.ErrorContains(t, config.Validate(), want)
		})
	}
}

func dimension(names ...string) func(*Config) {
	return func(c *Config) {
		c.Dimensions = nil
		for _, name := range names {
			c.Dimensions = append(c.Dimensions, Dimension{Name: name})
		}
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	config := defaults()
	config.FlushInterval, config.ExemplarsPerSeries = 0, -1
	err := config.Validate()
	require.ErrorContains(t, err, "flush_interval")
	require.ErrorContains(t, err, "exemplars_per_series")
}

// examples are the YAML blocks of the README.
func examples(t *testing.T) []string {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var all []string
	for i, part := range strings.Split(string(text), "```") {
		if block, is := strings.CutPrefix(part, "yaml\n"); is && i%2 == 1 {
			all = append(all, block)
		}
	}
	return all
}

func TestTheExamplesOfTheReadmeAreGood(t *testing.T) {
	all := examples(t)
	require.NotEmpty(t, all)
	for _, example := range all {
		var content struct {
			Connectors map[string]map[string]any
			Service    struct {
				Pipelines map[string]struct{ Receivers, Exporters []string }
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(example), &content))
		for name, settings := range content.Connectors {
			require.NoError(t, loaded(t, confmap.NewFromStringMap(settings)).Validate(), name)
		}
		for _, pipeline := range content.Service.Pipelines {
			for _, name := range append(pipeline.Receivers, pipeline.Exporters...) {
				if strings.HasPrefix(name, "cx_impact") {
					assert.Contains(t, content.Connectors, name)
				}
			}
		}
	}
}
