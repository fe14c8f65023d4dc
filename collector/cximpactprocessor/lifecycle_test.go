package cximpactprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// The cases of spec/lifecycle; its README says what the fields mean.
type lifecycleCase struct {
	Why       string
	Settings  lifecycleSettings
	Events    []lifecycleEvent
	Emissions []lifecycleEmission
	Kept      []lifecycleEmission `yaml:"emissions_kept"` // of a judge that keeps every span
}

type lifecycleSettings struct {
	Grace            float64
	IdleTimeout      float64 `yaml:"idle_timeout"`
	MaxCallDuration  float64 `yaml:"max_call_duration"`
	CorrectionWindow float64 `yaml:"correction_window"`
	MaxCalls         int     `yaml:"max_calls"`
	MaxBytesPerCall  int     `yaml:"max_bytes_per_call"`
	TrustStamped     bool    `yaml:"trust_stamped"`
}

type lifecycleEvent struct {
	At      float64
	Spans   []lifecycleSpan
	Restart string
}

type lifecycleSpan struct {
	ID         uint64
	Name       string
	From, To   float64
	Layer      string
	Activity   string
	Call       string
	Alias      []string
	Error      bool
	Scope      string
	Text       int
	Attributes map[string]any
}

type lifecycleEmission struct {
	At      float64
	Name    string
	Call    string
	Lost    *float64
	Layer   string
	Partial *bool
	Stamped *bool
	Links   []string
	Below   uint64
	Error   bool
}

const (
	epoch        = int64(1_700_000_000_000_000_000)
	lifeStep     = time.Second
	sentAtTheEnd = 700 // seconds; past every timeout of the cases
)

func TestLifecycle(t *testing.T) {
	files, err := filepath.Glob("../../spec/lifecycle/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 25)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			var one lifecycleCase
			decoder := yaml.NewDecoder(strings.NewReader(string(content)))
			decoder.KnownFields(true)
			require.NoError(t, decoder.Decode(&one))
			want := make([]string, len(one.Emissions))
			for i, emission := range one.Emissions {
				want[i] = emission.text()
			}
			got := playLife(t, one)
			slices.Sort(want) // of what is sent at one time there is no order
			slices.Sort(got)
			require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), one.Why)
		})
	}
}

// playLife gives what is sent, each with its time, as text.
func playLife(t *testing.T, one lifecycleCase) []string {
	l := newLife(t, one.config())
	var got []string
	at := func(seconds float64) { l.at = max(l.at, epoch+int64(seconds*1e9)) }
	until := func(seconds float64) {
		for now := l.at; now <= epoch+int64(seconds*1e9); now += int64(lifeStep) {
			l.at = max(l.at, now)
			l.step()
			got = append(got, l.sent(one)...)
		}
	}
	l.at = epoch
	for _, event := range one.Events {
		until(event.At - 0.5)
		at(event.At)
		if event.Restart != "" {
			l.restart(event.Restart == "killed")
			continue
		}
		td := ptrace.NewTraces()
		for _, span := range event.Spans {
			span.add(td)
		}
		require.NoError(t, l.p.ConsumeTraces(context.Background(), td))
		got = append(got, l.sent(one)...)
		l.step()
		got = append(got, l.sent(one)...)
	}
	until(sentAtTheEnd)
	return got
}

func (c lifecycleCase) config() *Config {
	config := createDefaultConfig().(*Config)
	config.Storage = &storageID
	config.OnShutdown = persist
	config.EvidenceSpans = false
	seconds := func(given, otherwise float64) time.Duration {
		if given == 0 {
			given = otherwise
		}
		return time.Duration(given * 1e9)
	}
	s := c.Settings
	config.Grace = seconds(s.Grace, 6)
	config.IdleTimeout = seconds(s.IdleTimeout, 60)
	config.MaxCallDuration = seconds(s.MaxCallDuration, 600)
	config.CorrectionWindow = seconds(s.CorrectionWindow, 120)
	config.TrustStamped = s.TrustStamped
	if s.MaxCalls > 0 {
		config.MaxCalls = s.MaxCalls
	}
	if s.MaxBytesPerCall > 0 {
		config.MaxBytesPerCall = s.MaxBytesPerCall
	}
	return config
}

func (s lifecycleSpan) add(td ptrace.Traces) {
	scope := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	scope.Scope().SetName(s.Scope)
	span := scope.Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID(callIDs(defaultNamespace, callKey(s.Call)).Trace))
	span.SetSpanID(numbered(s.ID))
	span.SetName(s.Name)
	span.SetStartTimestamp(pcommon.Timestamp(epoch + int64(s.From*1e9)))
	span.SetEndTimestamp(pcommon.Timestamp(epoch + int64(s.To*1e9)))
	if s.Error {
		span.Status().SetCode(ptrace.StatusCodeError)
	}
	attributes := span.Attributes()
	if s.Layer != "" {
		attributes.PutStr(spec.CxLayer, s.Layer)
	}
	if s.Activity != "" {
		attributes.PutStr(spec.CxActivity, s.Activity)
	}
	if s.Text > 0 {
		attributes.PutStr(spec.CxMediaToAgentLossPct, strings.Repeat("0 ", s.Text/2))
	}
	if s.Alias != nil {
		list := attributes.PutEmptySlice(spec.CxCallAlias)
		for _, key := range s.Alias {
			list.AppendEmpty().SetStr(key)
		}
	}
	for name, value := range s.Attributes {
		if err := attributes.PutEmpty(name).FromRaw(value); err != nil {
			panic(err)
		}
	}
}

func callKey(letter string) string {
	if letter == "" {
		return "A"
	}
	return letter
}

func numbered(n uint64) pcommon.SpanID {
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// text is an emission as it is compared.
func (e lifecycleEmission) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%g %s %s", e.At, callKey(e.Call), e.Name)
	if e.Stamped != nil && !*e.Stamped {
		return b.String() + " unstamped"
	}
	if e.Lost != nil {
		fmt.Fprintf(&b, " lost %g", *e.Lost)
	}
	if e.Layer != "" {
		fmt.Fprintf(&b, " layer %s", e.Layer)
	}
	if e.Partial != nil {
		fmt.Fprintf(&b, " partial %v", *e.Partial)
	}
	for _, link := range e.Links {
		fmt.Fprintf(&b, " link %s", link)
	}
	if e.Below != 0 {
		fmt.Fprintf(&b, " below %d", e.Below)
	}
	if e.Error {
		b.WriteString(" error")
	}
	return b.String()
}

// sent gives what has been sent since it was last asked, but for spans that were only passed on. Of what a case
// does not ask for, nothing is said.
func (l *life) sent(one lifecycleCase) []string {
	var all []string
	for _, a := range l.taken() {
		isRoot := a.span.Name() == spec.SpanCallInbound || a.span.Name() == spec.SpanCallOutbound
		if !isRoot && (a.scope.Scope().Name() != judgeScope || a.resource.Resource().Attributes().Len() == 0) {
			continue
		}
		all = append(all, one.describe(l, a))
	}
	return all
}

func (c lifecycleCase) describe(l *life, a arrived) string {
	e := lifecycleEmission{At: float64(l.at-epoch) / 1e9, Name: a.span.Name()}
	for _, letter := range []string{"A", "B", "C"} {
		if pcommon.TraceID(callIDs(defaultNamespace, letter).Trace) == a.span.TraceID() {
			e.Call = letter
		}
	}
	// Looks up the first emission of this name and call that asks for something, to say as much.
	asked := lifecycleEmission{}
	for _, want := range c.Emissions {
		if want.Name == e.Name && callKey(want.Call) == e.Call && want.At == e.At {
			asked = want
		}
	}
	attributes := a.span.Attributes()
	if _, stamped := attributes.Get(spec.CxImpactModel); !stamped && asked.Stamped != nil {
		e.Stamped = &stamped
	}
	if lost, ok := attributes.Get(spec.CxImpactLostSeconds); ok && asked.Lost != nil {
		value := lost.Double()
		e.Lost = &value
	}
	if layer, ok := attributes.Get(spec.CxImpactLayer); ok {
		e.Layer = layer.Str()
	}
	if partial, ok := attributes.Get(spec.CxImpactPartial); ok {
		value := partial.Bool()
		e.Partial = &value
	}
	for _, link := range a.span.Links().All() {
		for _, letter := range []string{"A", "B", "C"} {
			if ids := callIDs(defaultNamespace, letter); pcommon.TraceID(ids.Trace) == link.TraceID() &&
				pcommon.SpanID(ids.Root) == link.SpanID() {
				e.Links = append(e.Links, letter)
			}
		}
	}
	if asked.Below != 0 {
		parent := a.span.ParentSpanID()
		e.Below = binary.BigEndian.Uint64(parent[:])
	}
	e.Error = asked.Error && a.span.Status().Code() == ptrace.StatusCodeError
	return e.text()
}
