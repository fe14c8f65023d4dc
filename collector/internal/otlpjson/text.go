package otlpjson

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// isBlank tells the letters that Python's str.strip takes off: all white space of Unicode.
func isBlank(letter rune) bool {
	switch {
	case letter >= '\t' && letter <= '\r', letter >= 0x1C && letter <= ' ':
		return true
	case letter == 0x85, letter == 0xA0, letter == 0x1680, letter >= 0x2000 && letter <= 0x200A:
		return true
	}
	return letter == 0x2028 || letter == 0x2029 || letter == 0x202F || letter == 0x205F || letter == 0x3000
}

// trimmed is a line without the ASCII white space around it.
func trimmed(line []byte) []byte { return bytes.Trim(line, " \t\n\r\v\f") }

// opens tells whether a line begins with an object or a list.
func opens(line []byte) bool { return len(line) > 0 && (line[0] == '{' || line[0] == '[') }

// badText is where bytes are no UTF-8, and why, in Python's words.
type badText struct {
	reason string
	offset int
}

// checkUTF8 finds the first bytes that are no UTF-8. With halves, those of surrogate pairs pass.
func checkUTF8(data []byte, halves bool) *badText {
	for at := 0; at < len(data); {
		if data[at] < utf8.RuneSelf {
			at++
			continue
		}
		letter, size := utf8.DecodeRune(data[at:])
		if letter != utf8.RuneError || size != 1 {
			at += size
			continue
		}
		if halves && isHalf(data[at:]) {
			at += 3
			continue
		}
		return &badText{reason: whyNoUTF8(data[at:]), offset: at}
	}
	return nil
}

func isHalf(data []byte) bool {
	return len(data) >= 3 && data[0] == 0xED && data[1]&0xE0 == 0xA0 && data[2]&0xC0 == 0x80
}

// whyNoUTF8 says what is wrong with the letter that begins some bytes.
func whyNoUTF8(data []byte) string {
	first, size := data[0], 0
	switch {
	case first >= 0xC2 && first < 0xE0:
		size = 2
	case first >= 0xE0 && first < 0xF0:
		size = 3
	case first >= 0xF0 && first < 0xF5:
		size = 4
	default:
		return "invalid start byte"
	}
	for i := 1; i < size; i++ {
		if i >= len(data) {
			return "unexpected end of data"
		}
		low, high := byte(0x80), byte(0xBF)
		if i == 1 {
			low, high = secondByte(first)
		}
		if data[i] < low || data[i] > high {
			break
		}
	}
	return "invalid continuation byte"
}

// secondByte gives the range of what may follow the first byte of a letter (RFC 3629, section 4).
func secondByte(first byte) (low, high byte) {
	switch first {
	case 0xE0:
		return 0xA0, 0xBF
	case 0xED:
		return 0x80, 0x9F
	case 0xF0:
		return 0x90, 0xBF
	case 0xF4:
		return 0x80, 0x8F
	}
	return 0x80, 0xBF
}

// decode gives the text of one document in the encodings that JSON may have (RFC 4627, section 3), with a mark at
// its beginning or without; false if it is not in the one that its first bytes tell.
func decode(data []byte) (string, bool) {
	switch {
	case bytes.HasPrefix(data, []byte{0, 0, 0xFE, 0xFF}):
		return decode32(data[4:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE, 0, 0}):
		return decode32(data[4:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		return decode16(data[2:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		return decode16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, byteOrderMark):
		data = data[len(byteOrderMark):]
	case len(data) >= 4 && data[0] == 0 && data[1] == 0:
		return decode32(data, binary.BigEndian)
	case len(data) >= 4 && data[1] == 0 && data[0] != 0 && data[2] == 0 && data[3] == 0:
		return decode32(data, binary.LittleEndian)
	case (len(data) >= 4 || len(data) == 2) && data[0] == 0:
		return decode16(data, binary.BigEndian)
	case (len(data) >= 4 || len(data) == 2) && data[1] == 0:
		return decode16(data, binary.LittleEndian)
	}
	if checkUTF8(data, true) != nil {
		return "", false
	}
	return string(data), true
}

var byteOrderMark = []byte{0xEF, 0xBB, 0xBF}

func decode16(data []byte, order binary.ByteOrder) (string, bool) {
	out := make([]byte, 0, len(data))
	for ; len(data) >= 2; data = data[2:] {
		letter := rune(order.Uint16(data))
		if utf16.IsSurrogate(letter) && len(data) >= 4 {
			if pair := utf16.DecodeRune(letter, rune(order.Uint16(data[2:]))); pair != utf8.RuneError {
				letter, data = pair, data[2:]
			}
		}
		out = appendRune(out, letter)
	}
	return string(out), len(data) == 0
}

func decode32(data []byte, order binary.ByteOrder) (string, bool) {
	out := make([]byte, 0, len(data))
	for ; len(data) >= 4; data = data[4:] {
		letter := order.Uint32(data)
		if letter > utf8.MaxRune {
			return "", false
		}
		out = appendRune(out, rune(letter))
	}
	return string(out), len(data) == 0
}
