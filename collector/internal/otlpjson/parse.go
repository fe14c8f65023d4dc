package otlpjson

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxNesting is the depth at which Python's reader, as the judge command runs it, gives up.
	maxNesting = 980
	// maxDigits is Python's limit to the digits of a whole number, reading them takes time by their square; one of more
	// is taken for infinite.
	maxDigits = 4300
)

// failure is why a text is no JSON, in the words of Python's json, and where.
type failure struct {
	reason string
	offset int // in bytes
	kind   failureKind
}

type failureKind uint8

const (
	noJSON  failureKind = iota // at the offset
	tooDeep                    // nested over maxNesting
)

var infinity = math.Inf(1)

// words are the values that are written as words, with those that only Python's JSON has.
var words = []struct {
	text  string
	value any
}{
	{"null", nil},
	{"true", true},
	{"false", false},
	{"NaN", math.NaN()},
	{"Infinity", infinity},
}

// parser reads one JSON value after the other out of a text.
type parser struct {
	text  string
	depth int
}

const expectingValue = "Expecting value"

func fail(reason string, offset int) *failure { return &failure{reason: reason, offset: offset} }

// value reads the value that begins at an offset, and gives the offset behind it. Blanks before it are no part of it.
func (p *parser) value(at int) (any, int, *failure) {
	if at >= len(p.text) {
		return nil, at, fail(expectingValue, at)
	}
	switch p.text[at] {
	case '"':
		return wrap(p.string(at + 1))
	case '{':
		return p.object(at)
	case '[':
		return p.list(at)
	case 'n', 't', 'f', 'N', 'I':
		for _, word := range words {
			if strings.HasPrefix(p.text[at:], word.text) {
				return word.value, at + len(word.text), nil
			}
		}
		return nil, at, fail(expectingValue, at)
	case '-':
		if strings.HasPrefix(p.text[at:], "-Infinity") {
			return -infinity, at + len("-Infinity"), nil
		}
	}
	return p.number(at)
}

func wrap(text string, at int, failed *failure) (any, int, *failure) {
	if failed != nil {
		return nil, at, failed
	}
	return text, at, nil
}

func (p *parser) object(at int) (any, int, *failure) {
	if p.depth++; p.depth > maxNesting {
		return nil, at, &failure{kind: tooDeep, offset: at}
	}
	found := new(object)
	at = p.blanks(at + 1)
	if p.is(at, '}') {
		p.depth--
		return found, at + 1, nil
	}
	for {
		if !p.is(at, '"') {
			return nil, at, fail("Expecting property name enclosed in double quotes", at)
		}
		key, next, failed := p.string(at + 1)
		if failed != nil {
			return nil, at, failed
		}
		if at = p.blanks(next); !p.is(at, ':') {
			return nil, at, fail("Expecting ':' delimiter", at)
		}
		value, next, failed := p.value(p.blanks(at + 1))
		if failed != nil {
			return nil, at, failed
		}
		found.set(key, value)
		if at = p.blanks(next); p.is(at, '}') {
			p.depth--
			return found, at + 1, nil
		}
		if !p.is(at, ',') {
			return nil, at, fail("Expecting ',' delimiter", at)
		}
		at = p.blanks(at + 1)
	}
}

func (p *parser) list(at int) (any, int, *failure) {
	if p.depth++; p.depth > maxNesting {
		return nil, at, &failure{kind: tooDeep, offset: at}
	}
	found := []any{}
	at = p.blanks(at + 1)
	if p.is(at, ']') {
		p.depth--
		return found, at + 1, nil
	}
	for {
		value, next, failed := p.value(at)
		if failed != nil {
			return nil, at, failed
		}
		found = append(found, value)
		if at = p.blanks(next); p.is(at, ']') {
			p.depth--
			return found, at + 1, nil
		}
		if !p.is(at, ',') {
			return nil, at, fail("Expecting ',' delimiter", at)
		}
		at = p.blanks(at + 1)
	}
}

func (p *parser) is(at int, letter byte) bool { return at < len(p.text) && p.text[at] == letter }

func (p *parser) blanks(at int) int {
	for at < len(p.text) && (p.text[at] == ' ' || p.text[at] == '\n' || p.text[at] == '\r' || p.text[at] == '\t') {
		at++
	}
	return at
}

// string reads a string whose opening quote stands before the offset.
func (p *parser) string(at int) (string, int, *failure) {
	begin := at
	var out []byte // what came before the last escape
	for from := at; ; {
		for at < len(p.text) && p.text[at] != '"' && p.text[at] != '\\' {
			if p.text[at] < ' ' {
				return "", at, fail("Invalid control character at", at)
			}
			at++
		}
		if at >= len(p.text) {
			return "", at, fail("Unterminated string starting at", begin-1)
		}
		if p.text[at] == '"' {
			if out == nil {
				return p.text[from:at], at + 1, nil
			}
			return string(append(out, p.text[from:at]...)), at + 1, nil
		}
		if at+1 >= len(p.text) {
			return "", at, fail("Unterminated string starting at", begin-1)
		}
		out = append(out, p.text[from:at]...)
		letter, next, failed := p.escape(at + 1)
		if failed != nil {
			return "", at, failed
		}
		out = appendRune(out, letter)
		from, at = next, next
	}
}

// escape reads what follows a backslash.
func (p *parser) escape(at int) (rune, int, *failure) {
	if p.text[at] != 'u' {
		i := strings.IndexByte(`"\/bfnrt`, p.text[at])
		if i < 0 {
			return 0, at, fail(`Invalid \escape`, at-1)
		}
		return rune("\"\\/\b\f\n\r\t"[i]), at + 1, nil
	}
	letter, failed := p.hex(at)
	if failed != nil {
		return 0, at, failed
	}
	at += 5
	// Half of a pair, and room for the other half with something behind it.
	if letter >= 0xD800 && letter < 0xDC00 && at+6 < len(p.text) && p.text[at:at+2] == `\u` {
		low, failed := p.hex(at + 1)
		if failed != nil {
			return 0, at, failed
		}
		if low >= 0xDC00 && low < 0xE000 {
			return 0x10000 + (letter-0xD800)<<10 + (low - 0xDC00), at + 6, nil
		}
	}
	return letter, at, nil
}

// hex reads the four digits behind a u, which needs a letter behind them.
func (p *parser) hex(at int) (rune, *failure) {
	if at+5 < len(p.text) && isHex(p.text[at+1:at+5]) {
		if letter, err := strconv.ParseUint(p.text[at+1:at+5], 16, 32); err == nil {
			return rune(letter), nil
		}
	}
	return 0, fail(`Invalid \uXXXX escape`, at)
}

func (p *parser) number(at int) (any, int, *failure) {
	end := at
	if p.is(end, '-') {
		end++
	}
	switch {
	case p.is(end, '0'):
		end++
	case p.digits(end) > end:
		end = p.digits(end)
	default:
		return nil, at, fail(expectingValue, at)
	}
	whole := end
	if p.is(end, '.') && p.digits(end+1) > end+1 {
		end = p.digits(end + 1)
	}
	if p.is(end, 'e') || p.is(end, 'E') {
		power := end + 1
		if p.is(power, '+') || p.is(power, '-') {
			power++
		}
		if p.digits(power) > power {
			end = p.digits(power)
		}
	}
	digits := strings.TrimPrefix(p.text[at:end], "-")
	if end > whole || len(digits) > maxDigits {
		value, _ := strconv.ParseFloat(p.text[at:end], 64) // out of range: infinity, as in Python
		return value, end, nil
	}
	if digits == "0" {
		return number(digits), end, nil // a whole number has no minus zero
	}
	return number(p.text[at:end]), end, nil
}

// digits gives the offset behind the digits that begin at an offset.
func (p *parser) digits(at int) int {
	for at < len(p.text) && p.text[at] >= '0' && p.text[at] <= '9' {
		at++
	}
	return at
}

// appendRune is utf8.AppendRune that keeps halves of surrogate pairs.
func appendRune(out []byte, letter rune) []byte {
	if letter >= 0xD800 && letter < 0xE000 {
		return append(out, 0xED, 0x80|byte(letter>>6)&0x3F, 0x80|byte(letter)&0x3F)
	}
	return utf8.AppendRune(out, letter)
}

// decodeRune is utf8.DecodeRuneInString that knows halves of surrogate pairs.
func decodeRune(text string) (rune, int) {
	letter, size := utf8.DecodeRuneInString(text)
	if letter == utf8.RuneError && size == 1 && len(text) >= 3 && text[0] == 0xED {
		return 0xD000 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F), 3
	}
	return letter, size
}

// letters counts the letters of a text, halves of surrogate pairs as one each.
func letters(text string) int {
	count := 0
	for i := 0; i < len(text); i++ {
		if text[i]&0xC0 != 0x80 {
			count++
		}
	}
	return count
}
