// Command cximpact says what calls cost their people, and which layer did it: what `cxotel judge --json` says, of
// the same files, in the same words, by the engine that the Collector's processor uses. `cximpact --help` tells the
// rest.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// Exit statuses.
const (
	statusJudged  = 0
	statusNothing = 1 // nothing could be judged
	statusUsage   = 2
	// statusUnwritten is EX_IOERR of sysexits.h: standard output could not be written.
	statusUnwritten = 74
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run reads, judges and prints; it gives the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	options, err := parseOptions(args)
	if err != nil {
		fmt.Fprintf(stderr, "%s\n%s\n\nError: %s\n", usage, tryHelp, err)
		return statusUsage
	}
	if options.help {
		fmt.Fprint(stdout, help)
		return statusJudged
	}
	notes := &notes{out: stderr}
	judging := newJudging(options.parameters, options.otlp)
	for _, name := range options.files {
		if err := judging.readFile(name, stdin, notes); err != nil {
			fmt.Fprintf(stderr, "Error: %s\n", err)
			return statusNothing
		}
	}
	out := bufio.NewWriter(stdout)
	calls := 0
	for _, trace := range judging.traces {
		verdict := trace.state.Verdict(options.parameters, false)
		line := lineOf(trace, verdict, options.otlp)
		if _, err := out.Write(line); err != nil {
			break // Flush tells it again
		}
		if verdict.End > verdict.Start {
			calls++
			continue
		}
		fmt.Fprintf(stderr, "trace %x: no call in it (no span has cx.layer and a time)\n", trace.id)
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintf(stderr, "Error: standard output could not be written: %s\n", err)
		return statusUnwritten
	}
	notes.end(calls > 0)
	if calls == 0 {
		fmt.Fprintln(stderr, "Nothing could be judged.")
		return statusNothing
	}
	return statusJudged
}
