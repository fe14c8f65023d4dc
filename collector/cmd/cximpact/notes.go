package main

import (
	"fmt"
	"io"
)

// mostNamed is the number of further sentences about lines that are already named, for all files; the rest is counted.
const mostNamed = 20

// notes are sentences about input that could not be read: every line's first one is said, all are counted.
type notes struct {
	out     io.Writer
	count   int
	further int
	source  string // of the last one
	line    int    // likewise
}

func (n *notes) add(source string, line int, text string) {
	n.count++
	if source == n.source && line == n.line {
		if n.further++; n.further > mostNamed {
			return
		}
	}
	n.source, n.line = source, line
	fmt.Fprintf(n.out, "%s, line %d: %s\n", source, line, text)
}

// end says what is to be said after all of them, and whether there was anything else.
func (n *notes) end(judged bool) {
	if n.further > mostNamed {
		fmt.Fprintf(n.out, "(%d more in lines named above)\n", n.further-mostNamed)
	}
	if n.count > 0 {
		rest := ""
		if judged {
			rest = "; the rest was judged"
		}
		fmt.Fprintf(n.out, "%d thing(s) could not be read%s.\n", n.count, rest)
	}
}
