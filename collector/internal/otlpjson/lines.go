package otlpjson

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxDocument is the length of the longest document that is read, in bytes. Tempo refuses traces over 5 MB; a
// request is 64 MiB at most (default of the Python OTLP exporter).
const MaxDocument = 256 << 20

const (
	noEnd           = "the JSON that begins here has no end (line %d begins another)"
	cutOff          = "the JSON that begins here has no end (was the file cut off?)"
	nestedTooDeeply = "JSON nested too deeply"
)

// document is a parsed JSON document and the line it starts at, counted from 1.
type document struct {
	value any
	line  int
}

// documents finds the JSON documents of a stream.
type documents struct {
	limit   int                         // of one document, in bytes
	problem func(line int, text string) // told what could not be read
	found   func(document)
}

// held is a document that is printed over many lines, as far as it was read.
type held struct {
	lines []byte
	start int
	depth int       // brackets that are open
	rival *document // a line of it that is a whole document by itself
}

// read reads a stream to its end.
func (d *documents) read(stream io.Reader) {
	var open held
	lines := newLines(stream, d.limit)
	for {
		number, line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errTooLong) {
			d.problem(number, fmt.Sprintf("a line longer than %d MiB, left out", d.limit>>20))
			continue
		}
		if err != nil {
			d.problem(number, "cannot be read from here on: "+reasonOf(err))
			break
		}
		d.line(&open, number, line)
	}
	switch {
	case open.rival != nil:
		d.problem(open.start, fmt.Sprintf(noEnd, open.rival.line))
		d.found(*open.rival)
	case len(open.lines) > 0:
		d.problem(open.start, cutOff)
	}
}

func (d *documents) line(open *held, number int, line []byte) {
	blank := len(trimmed(line)) == 0
	if open.rival != nil && !blank {
		// What follows an item of a list printed over many lines is one of these.
		if strings.IndexByte("]},", trimmed(line)[0]) < 0 {
			d.problem(open.start, fmt.Sprintf(noEnd, open.rival.line))
			d.found(*open.rival)
			*open = held{}
		}
		open.rival = nil
	}
	if len(open.lines) == 0 {
		if blank {
			return
		}
		if depth := d.oneLine(number, line); depth > 0 {
			*open = held{lines: bytes.Clone(line), start: number, depth: depth}
		}
		return
	}
	open.lines = append(open.lines, line...)
	if opens(line) {
		if value, ok := onlyValue(line); ok && isKnown(value) {
			open.rival = &document{value, number}
			return
		}
	}
	open.depth += depthOf(line, false)
	switch {
	case len(open.lines) > d.limit:
		d.problem(open.start, fmt.Sprintf("the JSON that begins here is longer than %d MiB, left out", d.limit>>20))
		*open = held{}
	case open.depth <= 0:
		d.many(open.start, open.lines, d.found)
		*open = held{}
	}
}

// oneLine finds the documents of a line, or gives how many brackets stay open in it.
func (d *documents) oneLine(number int, line []byte) int {
	if value, ok := onlyValue(line); ok {
		d.found(document{value, number})
		return 0
	}
	if opens(bytes.TrimLeft(line, " \t\n\r\v\f")) {
		if depth := depthOf(line, true); depth > 0 {
			return depth
		}
	}
	// A line's own mistake is told before what is wrong in its documents.
	var found []document
	d.many(number, line, func(one document) { found = append(found, one) })
	for _, one := range found {
		d.found(one)
	}
	return 0
}

// onlyValue gives the object or list that a line is; false if it is not just that.
func onlyValue(line []byte) (any, bool) {
	text, ok := decode(line)
	if !ok {
		return nil, false
	}
	p := parser{text: text}
	value, end, failed := p.value(p.blanks(0))
	if failed != nil || p.blanks(end) != len(text) {
		return nil, false
	}
	switch value.(type) {
	case *object, []any:
		return value, true
	}
	return nil, false
}

// many finds documents that are written behind each other.
func (d *documents) many(start int, data []byte, found func(document)) {
	if bad := checkUTF8(data, false); bad != nil {
		d.problem(start, fmt.Sprintf("not JSON in UTF-8 (%s at byte %d)", bad.reason, bad.offset))
		return
	}
	text := strings.TrimFunc(string(data), isBlank)
	line := start
	for at := 0; at < len(text); {
		p := parser{text: text}
		value, end, failed := p.value(at)
		if failed != nil {
			d.problem(failed.told(start, text))
			return
		}
		found(document{value, line})
		after := len(text) - len(strings.TrimLeftFunc(text[end:], isBlank))
		line += strings.Count(text[at:after], "\n")
		at = after
	}
}

// told gives the line and the words for a failure in a text that starts at a line.
func (f *failure) told(start int, text string) (int, string) {
	if f.kind == tooDeep {
		return start, nestedTooDeeply
	}
	before := text[:f.offset]
	newline := strings.LastIndexByte(before, '\n')
	column := letters(before[newline+1:]) + 1
	reason := strings.TrimSuffix(f.reason, " starting at")
	return start + strings.Count(before, "\n"), fmt.Sprintf("not JSON at column %d: %s", column, reason)
}

// depthOf counts brackets opened less closed, outside strings. With wholeStrings it is 0 if a string has no end.
func depthOf(line []byte, wholeStrings bool) int {
	depth := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '"':
			end := endOfString(line, i+1)
			if end >= len(line) && wholeStrings {
				return 0
			}
			i = end
		}
	}
	return depth
}

// endOfString gives the place of the closing quote, the line's length if there is none.
func endOfString(line []byte, at int) int {
	for ; at < len(line); at++ {
		switch line[at] {
		case '\\':
			at++
		case '"':
			return at
		}
	}
	return len(line)
}

// lineReader reads lines, plain or gzip.
type lineReader struct {
	source *bufio.Reader
	limit  int
	number int
	long   []byte
	err    error
}

var errTooLong = errors.New("line too long")

// next gives the next line with its newline, and its number. The line holds until the call after it.
func (l *lineReader) next() (int, []byte, error) {
	if l.err != nil {
		return l.number + 1, nil, l.err
	}
	line, tooLong, err := l.readLine()
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
		return l.number + 1, nil, err
	}
	if len(line) == 0 && !tooLong {
		return l.number + 1, nil, io.EOF
	}
	l.number++
	if tooLong {
		return l.number, nil, errTooLong
	}
	if l.number == 1 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	return l.number, line, nil
}

// readLine reads up to a newline or the end; of a line that reaches the limit nothing is kept.
func (l *lineReader) readLine() ([]byte, bool, error) {
	part, err := l.source.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return part, l.tooLong(len(part), err), err
	}
	l.long = append(l.long[:0], part...)
	size := len(part)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = l.source.ReadSlice('\n')
		if size += len(part); size <= l.limit {
			l.long = append(l.long, part...)
		}
	}
	if l.tooLong(size, err) {
		l.long = nil
		return nil, true, err
	}
	return l.long, false, err
}

// tooLong tells whether a line of so many bytes is over the limit, which it also is where its newline just is.
func (l *lineReader) tooLong(size int, err error) bool {
	return size > l.limit || size == l.limit && err != nil
}
