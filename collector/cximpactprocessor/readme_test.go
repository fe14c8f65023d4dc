package cximpactprocessor

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

// Every example of the README is a configuration that is accepted.
func TestReadmeExamples(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples := 0
	for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		var whole struct {
			Processors map[string]map[string]any
		}
		require.NoError(t, yaml.Unmarshal([]byte(example), &whole))
		require.Contains(t, whole.Processors, "cx_impact")
		config := createDefaultConfig().(*Config)
		require.NoError(t, confmap.NewFromStringMap(whole.Processors["cx_impact"]).Unmarshal(config))
		require.NoError(t, config.Validate())
		_, err := config.check()
		require.NoError(t, err)
		examples++
	}
	require.Equal(t, 2, examples)
}

// The shipped configurations name only what the processor has.
func TestShippedConfigurations(t *testing.T) {
	files, err := os.ReadDir("../configs")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile("../configs/" + file.Name())
		require.NoError(t, err)
		var whole struct {
			Processors map[string]map[string]any
		}
		require.NoError(t, yaml.Unmarshal(text, &whole))
		for name, given := range whole.Processors {
			var id component.ID
			require.NoError(t, id.UnmarshalText([]byte(name)))
			if id.Type().String() != "cx_impact" {
				continue
			}
			config := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(given).Unmarshal(config), file.Name())
			_, err := config.check()
			require.NoError(t, err, file.Name())
		}
	}
}
