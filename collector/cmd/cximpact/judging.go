package main

import (
	"io"
	"os"

	"github.com/cxotel/cxotel/collector/internal/impact"
	"github.com/cxotel/cxotel/collector/internal/otlpjson"
)

// trace is one trace: the engine that saw its spans, and the spans where they are needed.
type trace struct {
	id       [16]byte
	state    *impact.State
	received []otlpjson.Received
}

// judging takes the spans of many traces, mixed. Of each span only the engine's compact facts stay, unless keep.
type judging struct {
	parameters *impact.Parameters
	keep       bool
	traces     []*trace // in the order of their first spans
	byID       map[[16]byte]*trace
	reader     otlpjson.Reader
}

func newJudging(parameters *impact.Parameters, keep bool) *judging {
	j := &judging{parameters: parameters, keep: keep, byID: map[[16]byte]*trace{}}
	j.reader.Latency = parameters.Latency
	j.reader.Span = j.add
	return j
}

// readFile reads a file, - for standard input. What cannot be read of it goes to the notes.
func (j *judging) readFile(name string, stdin io.Reader, notes *notes) error {
	j.reader.Problem = func(line int, text string) { notes.add(name, line, text) }
	if name == "-" {
		j.reader.Read(stdin)
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	j.reader.Read(file)
	return nil
}

func (j *judging) add(in *impact.Input, as otlpjson.Received) {
	known := j.byID[in.TraceID]
	if known == nil {
		known = &trace{id: in.TraceID, state: new(impact.State)}
		j.byID[in.TraceID] = known
		j.traces = append(j.traces, known)
	}
	known.state.Add(in, j.parameters)
	if j.keep {
		known.received = append(known.received, as)
	}
}
