package otlpjson

import (
	"math"
	"strconv"
	"strings"
)

const hexDigits = "0123456789abcdef"

// AppendFloat appends a number as Python's repr writes it: the fewest digits that give the same number, with a
// power below 1e-4 and from 1e16 on, else with a point.
func AppendFloat(out []byte, value float64) []byte {
	switch {
	case math.IsNaN(value):
		return append(out, "nan"...)
	case math.IsInf(value, 0):
		if value < 0 {
			out = append(out, '-')
		}
		return append(out, "inf"...)
	}
	if size := math.Abs(value); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.AppendFloat(out, value, 'e', -1, 64)
	}
	from := len(out)
	out = strconv.AppendFloat(out, value, 'f', -1, 64)
	if strings.IndexByte(string(out[from:]), '.') < 0 {
		out = append(out, ".0"...)
	}
	return out
}

// AppendString appends a JSON string in ASCII, as Python's json.dumps writes it.
func AppendString(out []byte, text string) []byte {
	out = append(out, '"')
	for i := 0; i < len(text); {
		letter, size := decodeRune(text[i:])
		i += size
		switch {
		case letter == '"' || letter == '\\':
			out = append(out, '\\', byte(letter))
		case letter >= ' ' && letter < 0x7F:
			out = append(out, byte(letter))
		case strings.ContainsRune("\b\f\n\r\t", letter):
			out = append(out, '\\', "btn_fr"[letter-'\b'])
		case letter >= 0x10000:
			letter -= 0x10000
			out = appendUnit(appendUnit(out, 0xD800+letter>>10), 0xDC00+letter&0x3FF)
		default:
			out = appendUnit(out, letter)
		}
	}
	return append(out, '"')
}

func appendUnit(out []byte, unit rune) []byte {
	return append(out, '\\', 'u', hexDigits[unit>>12&15], hexDigits[unit>>8&15], hexDigits[unit>>4&15], hexDigits[unit&15])
}

// said gives a value as Python's ascii() writes it, for a problem's text, cut after so many letters.
func said(value any, most int) string {
	text := appendSaid(nil, value, most)
	return string(text[:min(most, len(text))])
}

// appendSaid stops soon after so many letters: what follows would be cut.
func appendSaid(out []byte, value any, most int) []byte {
	switch value := value.(type) {
	case nil:
		return append(out, "None"...)
	case bool:
		if value {
			return append(out, "True"...)
		}
		return append(out, "False"...)
	case number:
		return append(out, value...)
	case float64:
		return AppendFloat(out, value)
	case string:
		return appendQuoted(out, value, most)
	case []any:
		out = append(out, '[')
		for i, item := range value {
			if i > 0 {
				out = append(out, ", "...)
			}
			if out = appendSaid(out, item, most); len(out) > most {
				return out
			}
		}
		return append(out, ']')
	case *object:
		out = append(out, '{')
		for i, key := range value.keys {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(appendQuoted(out, key, most), ": "...)
			if out = appendSaid(out, value.values[i], most); len(out) > most {
				return out
			}
		}
		return append(out, '}')
	}
	return out
}

func appendQuoted(out []byte, text string, most int) []byte {
	quote := byte('\'')
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	out = append(out, quote)
	for i := 0; i < len(text) && len(out) <= most; {
		letter, size := decodeRune(text[i:])
		i += size
		switch {
		case letter == rune(quote) || letter == '\\':
			out = append(out, '\\', byte(letter))
		case letter >= ' ' && letter < 0x7F:
			out = append(out, byte(letter))
		case letter == '\t' || letter == '\n' || letter == '\r':
			out = append(out, '\\', "tn__r"[letter-'\t'])
		case letter < 0x100:
			out = append(out, '\\', 'x', hexDigits[letter>>4], hexDigits[letter&15])
		case letter < 0x10000:
			out = appendUnit(out, letter)
		default:
			out = append(out, `\U000`...)
			for shift := 16; shift >= 0; shift -= 4 {
				out = append(out, hexDigits[letter>>shift&15])
			}
		}
	}
	return append(out, quote)
}

// saidBytes gives bytes as Python's repr writes them, without the b before them.
func saidBytes(data []byte) string {
	text := make([]rune, len(data))
	for i, one := range data {
		text[i] = rune(one)
	}
	return string(appendQuoted(nil, string(text), 4*len(data)+2))
}
