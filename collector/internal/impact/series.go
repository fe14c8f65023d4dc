package impact

import (
	"bytes"
	"strconv"
	"strings"
)

// A media series as text: one figure per window, `0*20 12.4 15.1 - 0*36` (trace model, "Media series"). Items are
// separated by spaces: a decimal number (no sign, no exponent), `-` for a window not measured, `v*n` for n of them.

// notMeasured is the figure of a window without one.
const notMeasured = -1.0

// run is a number of windows with one figure.
type run struct {
	count int
	value float64
}

// What is kept of an item of this length is written anew: no writer's is so long.
const longItem = 24

// readSeries checks a series and appends it, cleaned of what cannot be read, to dst.
//
// high is the largest figure that may be, most the windows that it may cover. bad counts items that could not be
// read, whose windows are not measured; ok is false where nothing of the series can be used.
func readSeries(dst []byte, text string, high float64, most int) (kept []byte, bad int, ok bool) {
	windows := 0
	begun := len(dst)
	for len(text) > 0 {
		var item string
		item, text, _ = strings.Cut(text, " ")
		if item == "" {
			continue
		}
		figure, count := parseItem(item)
		if count == 0 {
			return dst[:begun], 0, false
		}
		windows += count
		if windows > most {
			return dst[:begun], 0, false
		}
		if len(dst) > begun {
			dst = append(dst, ' ')
		}
		value, readable := parseFigure(figure)
		switch {
		case !readable || value > high:
			bad++
			dst = append(dst, '-')
		case len(figure) > longItem:
			dst = strconv.AppendFloat(dst, value, 'f', -1, 64)
		default:
			dst = append(dst, figure...)
		}
		if count > 1 {
			dst = append(dst, '*')
			dst = strconv.AppendInt(dst, int64(count), 10)
		}
	}
	return dst, bad, true
}

// parseItem cuts an item at its first star; the count is 0 where it is not 1 to 4 digits above 0.
func parseItem(item string) (figure string, count int) {
	figure, digits, starred := strings.Cut(item, "*")
	if !starred {
		return figure, 1
	}
	if len(digits) < 1 || len(digits) > 4 {
		return figure, 0
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return figure, 0
		}
		count = 10*count + int(digits[i]-'0')
	}
	return figure, count
}

// parseFigure reads `-` or a decimal number.
func parseFigure[T string | []byte](text T) (value float64, ok bool) {
	if len(text) == 1 && text[0] == '-' {
		return notMeasured, true
	}
	whole, point := 0, -1
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			whole = 10*whole + int(c-'0')
		case c == '.' && point < 0 && i > 0:
			point = i
		default:
			return 0, false
		}
	}
	if len(text) == 0 || point == len(text)-1 {
		return 0, false
	}
	if len(text) <= 15 { // the digits are a float exactly, and so is the power of ten: one division is exact too
		if point < 0 {
			return float64(whole), true
		}
		return float64(whole) / powers[len(text)-1-point], true
	}
	value, err := strconv.ParseFloat(string(text), 64)
	return value, err == nil || value > 0 // too large a number is infinite, and above any limit
}

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14}

// runsOf reads what readSeries kept.
func runsOf(text []byte, into []run) []run {
	for len(text) > 0 {
		item := text
		if end := bytes.IndexByte(text, ' '); end >= 0 {
			item, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		count := 1
		if star := bytes.IndexByte(item, '*'); star >= 0 {
			count = 0
			for _, digit := range item[star+1:] {
				count = 10*count + int(digit-'0')
			}
			item = item[:star]
		}
		value, _ := parseFigure(item)
		into = append(into, run{count, value})
	}
	return into
}
