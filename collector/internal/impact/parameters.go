package impact

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// parameterSpec is a parameter of spec/impact/parameters.yaml.
type parameterSpec struct {
	name      string
	value     any
	unit      string
	low, high float64 // of a number
}

var specByName = func() map[string]*parameterSpec {
	byName := make(map[string]*parameterSpec, len(parameterSpecs))
	for i := range parameterSpecs {
		byName[parameterSpecs[i].name] = &parameterSpecs[i]
	}
	return byName
}()

// Tables that may be given keys of one's own, with the values these may have.
var openTables = map[string][]string{
	"makers.sessions":  layerNames[:unobserved],
	"makers.latencies": {spec.CxActivityRespond},
}

var felt = []string{
	spec.CxImpactFeltChoppyAudio, spec.CxImpactFeltTalkOver, spec.CxImpactFeltOneWayAudio, spec.CxImpactFeltNoAudio,
	spec.CxImpactFeltLongWait, spec.CxImpactFeltSlowConnect, spec.CxImpactFeltDeadAir, spec.CxImpactFeltSlowAi,
	spec.CxImpactFeltRepeatedItself, spec.CxImpactFeltDropped, spec.CxImpactFeltAbandoned, spec.CxImpactFeltFailed,
}

// allowance is how long a wait of an activity is nobody's fault.
type allowance struct {
	activity activity
	ns       uint64
	layer    layer // whose it is where its span names none
}

// Parameters are the model's parameters with their overrides. They do not change, and may be used by many at once.
type Parameters struct {
	values map[string]any

	// What follows is worked out of the values.
	sessions      map[string]layer
	latencies     map[string]string
	latencyStarts [256]bool // first bytes of their names: nearly every attribute has another
	allowances    []allowance
	defaultLayers [activities]layer
	setupBefore   uint64
	outside       uint64
	endGrace      uint64
	abandonShort  uint64
	feltLeast     uint64
	evidenceGap   uint64
	errorFrom     int64 // ms
	bpl           float64
	satisfiedR    float64
	good          float64 // GoB of satisfiedR
	alive         float64 // share that arrives in a direction that is not dead is above this
	window        uint64
	windows       int
	maxLoss       float64
	maxDelay      float64
	waitMax       float64
}

var defaultParameters = func() *Parameters {
	values := make(map[string]any, len(parameterSpecs))
	for _, one := range parameterSpecs {
		values[one.name] = one.value
	}
	return prepare(values)
}()

// Default gives the model's own parameters.
func Default() *Parameters { return defaultParameters }

func prepare(values map[string]any) *Parameters {
	p := &Parameters{values: values}
	p.sessions, p.latencies = map[string]layer{}, p.table("makers.latencies")
	for name, layer := range p.table("makers.sessions") {
		p.sessions[name] = layerOf(layer)
	}
	for name := range p.latencies {
		if name != "" {
			p.latencyStarts[name[0]] = true
		}
	}
	for a := range activities {
		p.defaultLayers[a] = noLayer
	}
	for name, layer := range p.table("wait.default_layers") {
		p.defaultLayers[activityOf(name)] = layerOf(layer)
	}
	for _, one := range parameterSpecs {
		if name, ok := strings.CutPrefix(one.name, "allowance."); ok {
			a := activityOf(name)
			p.allowances = append(p.allowances, allowance{a, p.ns(one.name), p.defaultLayers[a]})
		}
	}
	p.setupBefore, p.outside, p.endGrace = p.ns("call.setup_before"), p.ns("call.outside"), p.ns("call.end_grace")
	p.abandonShort, p.feltLeast = p.ns("abandon.short"), p.ns("felt.least")
	p.evidenceGap, p.errorFrom = p.ns("evidence.gap"), p.ms("evidence.error_from")
	p.bpl, p.satisfiedR = p.number("quality.bpl"), p.number("quality.satisfied_r")
	p.good = goodOrBetter(p.satisfiedR)
	p.alive = 1 - p.number("quality.dead") + 1e-12 // 90 % of loss leaves 0.09999999999999998 or 0.1
	p.window, p.windows = p.ns("quality.window"), int(p.whole("quality.windows"))
	p.maxLoss, p.maxDelay, p.waitMax = p.number("quality.max_loss"), p.number("quality.max_delay"), p.number("wait.max")
	return p
}

func (p *Parameters) number(name string) float64          { return p.values[name].(float64) }
func (p *Parameters) whole(name string) int64             { return p.values[name].(int64) }
func (p *Parameters) text(name string) string             { return p.values[name].(string) }
func (p *Parameters) table(name string) map[string]string { return p.values[name].(map[string]string) }
func (p *Parameters) ns(name string) uint64               { return nanoseconds(p.number(name)) }

// ms gives a parameter in seconds as whole milliseconds, rounded half up: for what is compared as it is shown.
func (p *Parameters) ms(name string) int64 {
	return int64(math.Floor(float64(p.number(name)*1000) + 0.5))
}

// priced says whether a cost is to be computed.
func (p *Parameters) priced() bool {
	return p.number("cost.customer_hourly") != 0 || p.number("cost.agent_hourly") != 0
}

// Latency gives the activity whose wait another maker's attribute tells, in seconds.
func (p *Parameters) Latency(attribute string) (activity string, ok bool) {
	if attribute == "" || !p.latencyStarts[attribute[0]] {
		return "", false
	}
	activity, ok = p.latencies[attribute]
	return activity, ok
}

// IsSession says whether a span of this name is another maker's session.
func (p *Parameters) IsSession(name string) bool {
	_, ok := p.sessions[name]
	return ok
}

// Override gives these parameters with some replaced: values by dotted name (`allowance.queue`) or nested; of a
// table only the keys given are replaced. The error names the parameter and what it may be.
func (p *Parameters) Override(given map[string]any) (*Parameters, error) {
	flat := map[string]any{}
	if err := flatten(given, "", flat); err != nil {
		return nil, err
	}
	values := maps.Clone(p.values)
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		value, err := accepted(name, flat[name], values[name])
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	changed := prepare(values)
	if changed.priced() && changed.text("cost.currency") == "" {
		return nil, fmt.Errorf(`impact parameter cost.currency: missing; a rate needs it, for example "EUR"`)
	}
	return changed, nil
}

// flatten gives values by dotted name. Of one given in both forms the dotted counts, being sorted last.
func flatten(given map[string]any, prefix string, into map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		name, value := prefix+key, given[key]
		if _, known := specByName[name]; known {
			into[name] = value
			continue
		}
		if nested, ok := value.(map[string]any); ok && len(namesUnder(name)) > 0 {
			if err := flatten(nested, name+".", into); err != nil {
				return err
			}
			continue
		}
		group, _, _ := strings.Cut(name, ".")
		near := namesUnder(group)
		if len(near) == 0 {
			near = namesUnder("")
		}
		return fmt.Errorf("impact parameter %s: unknown; there is %s", name, strings.Join(near, ", "))
	}
	return nil
}

func namesUnder(group string) []string {
	var names []string
	for name := range specByName {
		if group == "" || strings.HasPrefix(name, group+".") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// accepted gives a value in the form of the parameter's default, or says why it cannot be one.
func accepted(name string, value, before any) (any, error) {
	known := specByName[name]
	switch known.value.(type) {
	case map[string]string:
		return acceptedTable(known, value, before.(map[string]string))
	case string:
		text, ok := value.(string)
		if !ok {
			return nil, refused(name, value, fmt.Sprintf("a string (%s)", known.unit))
		}
		return text, checkFields(name, text, known.value.(string))
	case int64:
		number, ok := numberOf(value)
		if !ok || !(number >= known.low && number <= known.high) || number != math.Trunc(number) {
			return nil, refused(name, value, fmt.Sprintf("a whole number from %s to %s (%s)",
				short(known.low), short(known.high), known.unit))
		}
		return int64(number), nil
	default:
		number, ok := numberOf(value)
		if !ok || !(number >= known.low && number <= known.high) {
			return nil, refused(name, value, fmt.Sprintf("a number from %s to %s (%s)",
				short(known.low), short(known.high), known.unit))
		}
		return number, nil
	}
}

func short(number float64) string { return fmt.Sprintf("%g", number) }

func numberOf(value any) (float64, bool) {
	switch n := value.(type) {
	case float64:
		return n, true
	case float32:
		return float64(n), true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	}
	return 0, false
}

func refused(name string, value any, wanted string) error {
	shown := fmt.Sprintf("%v", value)
	if text, ok := value.(string); ok {
		shown = strconv.Quote(text)
	}
	return fmt.Errorf("impact parameter %s: %s given; must be %s", name, shown, wanted)
}

func acceptedTable(known *parameterSpec, value any, before map[string]string) (any, error) {
	given, ok := value.(map[string]any)
	if !ok {
		return nil, refused(known.name, value, fmt.Sprintf("a mapping (%s)", known.unit))
	}
	table := maps.Clone(before)
	defaults := known.value.(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(given)) {
		name := known.name + "." + key
		text, ok := given[key].(string)
		if !ok {
			return nil, refused(name, given[key], fmt.Sprintf("a string (%s)", known.unit))
		}
		if err := checkMember(known.name, name, key, text, defaults); err != nil {
			return nil, err
		}
		table[key] = text
	}
	return table, nil
}

func checkMember(table, name, key, text string, defaults map[string]string) error {
	allowed, open := openTables[table]
	if _, known := defaults[key]; !known && !open {
		return fmt.Errorf("impact parameter %s: unknown; there is %s",
			name, strings.Join(slices.Sorted(maps.Keys(defaults)), ", "))
	}
	switch table {
	case "wait.default_layers":
		allowed = layerNames[:unobserved]
	case "felt.symptoms":
		allowed = felt
	}
	if allowed == nil {
		return checkFields(name, text, defaults[key])
	}
	if !slices.Contains(allowed, text) {
		return refused(name, text, "one of "+strings.Join(allowed, ", "))
	}
	return nil
}

// checkFields holds that a template uses the fields of the default and no others.
func checkFields(name, text, fallback string) error {
	var fields []string
	fill(fallback, func(field string) (string, bool) { fields = append(fields, field); return "", true })
	unknown := false
	fill(text, func(field string) (string, bool) {
		unknown = unknown || !slices.Contains(fields, field)
		return "", true
	})
	if !unknown {
		return nil
	}
	wanted := "no fields"
	if len(fields) > 0 {
		wanted = "{" + strings.Join(fields, "}, {") + "}"
	}
	return refused(name, text, "a text with "+wanted)
}

// fill replaces the {fields} of a template, in one pass; a field that is not known stays as it is.
func fill(template string, field func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			break
		}
		shut := open + 1
		for shut < len(template) {
			letter, size := utf8.DecodeRuneInString(template[shut:])
			if !isWord(letter) {
				break
			}
			shut += size
		}
		b.WriteString(template[:open])
		if shut < len(template) && template[shut] == '}' && shut > open+1 {
			if text, ok := field(template[open+1 : shut]); ok {
				b.WriteString(text)
				template = template[shut+1:]
				continue
			}
		}
		b.WriteByte('{')
		template = template[open+1:]
	}
	b.WriteString(template)
	return b.String()
}

func isWord(letter rune) bool {
	return letter == '_' || unicode.IsLetter(letter) || unicode.IsNumber(letter)
}
