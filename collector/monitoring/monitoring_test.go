// Package monitoring holds alert rules and a dashboard; here they are held to the names that are really written.
package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, path string, into any) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	if strings.HasSuffix(path, ".json") {
		require.NoError(t, json.Unmarshal(text, into))
		return
	}
	require.NoError(t, yaml.Unmarshal(text, into))
}

type rules struct {
	Groups []struct {
		Rules []struct{ Alert, Record, Expr string }
	}
}

type target struct{ Expr, Query string }

type dashboard struct {
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []target
	}
	Annotations struct{ List []struct{ Target target } }
	Templating  struct{ List []struct{ Name, Query any } }
}

// expressions are all PromQL of the alert rules and of the dashboard, the latter with its variables set.
func expressions(t *testing.T) []string {
	var all []string
	var r rules
	read(t, "alerts.yaml", &r)
	for _, group := range r.Groups {
		for _, rule := range group.Rules {
			all = append(all, rule.Expr)
		}
	}
	var d dashboard
	read(t, "dashboard.json", &d)
	variables := strings.NewReplacer("$queue", ".*", "$carrier", ".*", "$partner", ".*", "$__rate_interval", "1m", "$__range", "6h")
	for _, panel := range d.Panels {
		for _, one := range panel.Targets {
			if one.Expr != "" {
				all = append(all, variables.Replace(one.Expr))
			}
		}
	}
	for _, one := range d.Annotations.List {
		all = append(all, one.Target.Expr)
	}
	return all
}

// underscored is a name as Prometheus has it.
func underscored(name string) string { return strings.ReplaceAll(name, ".", "_") }

// written are the names of metrics and labels that there are in Prometheus.
func written(t *testing.T) map[string]bool {
	// Of every exporter of the Collector (exporterhelper); tests/e2e asks a real one.
	names := map[string]bool{"otelcol_exporter_queue_size": true, "otelcol_exporter_sent_spans": true}
	var registry struct {
		Metrics []struct {
			Name, Instrument, Unit string
			Attributes             []struct{ Ref string }
		}
	}
	read(t, filepath.Join("..", "..", "spec", "registry", "impact.yaml"), &registry)
	for _, one := range registry.Metrics {
		name := underscored(one.Name)
		if one.Unit == "s" {
			name += "_seconds"
		}
		suffix := "_total"
		if one.Instrument == "histogram" {
			suffix = "_bucket"
		}
		names[name+suffix] = true
		for _, attribute := range one.Attributes {
			names[underscored(attribute.Ref)] = true
		}
	}
	for _, component := range []string{"cximpactprocessor", "cximpactconnector"} {
		var metadata struct {
			Telemetry struct{ Metrics map[string]any }
		}
		read(t, filepath.Join("..", component, "metadata.yaml"), &metadata)
		for name := range metadata.Telemetry.Metrics {
			names["otelcol_"+name] = true
		}
	}
	return names
}

func TestEveryNameInAQueryIsOneThatIsWritten(t *testing.T) {
	known := written(t)
	name := regexp.MustCompile(`\b(?:cx|otelcol)_[a-z_]+\b`)
	for _, expression := range expressions(t) {
		for _, found := range name.FindAllString(expression, -1) {
			assert.True(t, known[found], "%s in %s", found, expression)
		}
	}
}

func TestEveryAlertFiresInATest(t *testing.T) {
	var r rules
	read(t, "alerts.yaml", &r)
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `yaml:"alertname"`
				ExpAlerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, "alerts_test.yaml", &tests)
	fires := map[string]bool{}
	for _, test := range tests.Tests {
		for _, one := range test.AlertRuleTest {
			fires[one.Alertname] = fires[one.Alertname] || len(one.ExpAlerts) > 0
		}
	}
	for _, group := range r.Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" {
				assert.True(t, fires[rule.Alert], "%s fires in no test", rule.Alert)
			}
		}
	}
}

func TestPanelsStandBesideEachOther(t *testing.T) {
	var d dashboard
	read(t, "dashboard.json", &d)
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, panel := range d.Panels {
		assert.False(t, ids[panel.ID], "%s has an id that was given", panel.Title)
		ids[panel.ID] = true
		assert.LessOrEqual(t, panel.GridPos.X+panel.GridPos.W, 24, panel.Title)
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				place := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				assert.Empty(t, taken[place], "%s lies over %s", panel.Title, taken[place])
				taken[place] = panel.Title
			}
		}
	}
}

func TestEveryPanelAsksAndKnowsItsVariables(t *testing.T) {
	var d dashboard
	read(t, "dashboard.json", &d)
	known := map[string]bool{"__rate_interval": true, "__range": true}
	for _, one := range d.Templating.List {
		known[one.Name.(string)] = true
	}
	variable := regexp.MustCompile(`\$\{?(\w+)`)
	for _, panel := range d.Panels {
		if panel.Type == "row" {
			continue
		}
		assert.NotEmpty(t, panel.Targets, panel.Title)
		for _, one := range panel.Targets {
			assert.NotEmpty(t, one.Expr+one.Query, panel.Title)
			for _, found := range variable.FindAllStringSubmatch(one.Expr+one.Query, -1) {
				assert.True(t, known[found[1]], "%s in %s", found[0], panel.Title)
			}
		}
	}
}

func TestTempoIsAskedForFractions(t *testing.T) {
	var d dashboard
	read(t, "dashboard.json", &d)
	for _, one := range d.Templating.List {
		if one.Name == "worst" {
			for _, value := range strings.Split(one.Query.(string), ",") {
				assert.Contains(t, value, ".", "a whole number finds no attribute that is a double")
			}
		}
	}
}

func promtool(t *testing.T, arguments ...string) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool here (Debian: prometheus)")
	}
	got, err := exec.Command(path, arguments...).CombinedOutput()
	require.NoError(t, err, string(got))
}

func TestAlertsFireAndAreQuietAsTheirTestsSay(t *testing.T) {
	promtool(t, "check", "rules", "alerts.yaml")
	promtool(t, "test", "rules", "alerts_test.yaml")
}

func TestQueriesOfTheDashboardAreGoodPromQL(t *testing.T) {
	var content strings.Builder
	content.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, expression := range expressions(t) {
		quoted, err := json.Marshal(expression)
		require.NoError(t, err)
		fmt.Fprintf(&content, "      - {record: 'r%d', expr: %s}\n", i, quoted)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content.String()), 0o600))
	promtool(t, "check", "rules", path)
}
