package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

const (
	usage   = "Usage: cximpact [OPTIONS] FILE..."
	tryHelp = "Try 'cximpact --help' for help."
	help    = usage + `

  Say what calls cost their people, and which layer did it: one line of JSON per
  trace, with its id and the attributes of its root. It is what
  "cxotel judge --json" prints.

  FILE is OTLP/JSON (one request, or one a line with traces mixed) or what
  Jaeger (/api/traces, /api/v3/traces) or Tempo (/api/traces/ID,
  /api/v2/traces/ID) answered; plain or gzip; - is standard input. Spans are
  grouped by trace id over all FILEs.

Options:
  --json             The default; it is taken so that a command line for
                     "cxotel judge" is one for this too.
  --otlp             The traces as OTLP/JSON, one a line, verdict and all.
  --parameters YAML  Other values for the model's parameters, by name
                     (allowance.queue: 30).
  -h, --help         Show this message and exit.

  Examples:
    cximpact trace.json
    curl -s localhost:16686/api/v3/traces/ID | cximpact -
    cximpact calls.jsonl.gz | jq .attributes
    cximpact --otlp calls.jsonl > judged.jsonl

  Exit status: 0 judged, 1 nothing could be judged, 2 wrong usage, 74 standard
  output could not be written. What could not be read is named on standard error, and
  the rest is judged.
`
)

// options is what the command line asks for.
type options struct {
	help       bool
	otlp       bool
	files      []string
	parameters *impact.Parameters
}

// parseOptions reads the command line; options may stand before, between and behind the files.
func parseOptions(args []string) (*options, error) {
	found := &options{parameters: impact.Default()}
	file, isJSON, onlyFiles := "", false, false
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		switch {
		case onlyFiles || args[i] == "-" || !strings.HasPrefix(args[i], "-"):
			found.files = append(found.files, args[i])
		case args[i] == "--":
			onlyFiles = true
		case args[i] == "--help" || args[i] == "-h":
			found.help = true
			return found, nil
		case name == "--json" || name == "--otlp":
			if hasValue {
				return nil, usageErrorf("Option '%s' does not take a value.", name)
			}
			isJSON, found.otlp = isJSON || name == "--json", found.otlp || name == "--otlp"
		case name == "--parameters":
			if !hasValue {
				if i++; i >= len(args) {
					return nil, usageError("Option '--parameters' requires an argument.")
				}
				value = args[i]
			}
			file = value
			if err := checkFile(file, "--parameters"); err != nil {
				return nil, err
			}
		default:
			return nil, usageErrorf("No such option '%s'.", name)
		}
	}
	if len(found.files) == 0 {
		return nil, usageError("Missing argument 'FILE...'.")
	}
	for _, name := range found.files {
		if name == "-" {
			continue
		}
		if err := checkFile(name, "FILE..."); err != nil {
			return nil, err
		}
	}
	if isJSON && found.otlp {
		return nil, usageError("give only one of --json, --otlp and --explain")
	}
	if file == "" {
		return found, nil
	}
	parameters, err := readParameters(file)
	if err != nil {
		return nil, usageErrorf("Invalid value for --parameters: %s: %s", file, err)
	}
	found.parameters = parameters
	return found, nil
}

// usageError is what is wrong with the command line, in the words of "cxotel judge".
type usageError string

func (u usageError) Error() string { return string(u) }

func usageErrorf(format string, values ...any) usageError {
	return usageError(fmt.Sprintf(format, values...))
}

// checkFile tells before anything is read that a file cannot be.
func checkFile(name, option string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usageErrorf("Invalid value for '%s': File '%s' does not exist.", option, name)
	case err != nil:
		return usageErrorf("Invalid value for '%s': %s", option, err)
	case info.IsDir():
		return usageErrorf("Invalid value for '%s': File '%s' is a directory.", option, name)
	}
	file, err := os.Open(name)
	if err != nil {
		return usageErrorf("Invalid value for '%s': File '%s' is not readable.", option, name)
	}
	return file.Close()
}

// readParameters gives the model's parameters with those of a YAML file over them.
func readParameters(path string) (*impact.Parameters, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var values any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, err
	}
	switch values := values.(type) {
	case nil:
		return impact.Default(), nil
	case map[string]any:
		return impact.Default().Override(values)
	}
	return nil, errors.New("a mapping of names to values is needed, such as `allowance.queue: 30`")
}
