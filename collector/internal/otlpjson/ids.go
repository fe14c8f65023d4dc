package otlpjson

import (
	"encoding/hex"
	"strings"
)

// readID reads an id of len(into) bytes from hex or (Tempo's way) base64; false for any other value and for zeros
// only, which leave zeros.
func readID(value any, into []byte) bool {
	clear(into)
	text, ok := value.(string)
	if !ok {
		return false
	}
	if len(text) == 2*len(into) && isHex(text) {
		if _, err := hex.Decode(into, []byte(text)); err != nil {
			return false
		}
		return !isZero(into)
	}
	// Base64 has 4 letters for each 3 bytes begun.
	if len(text) != (len(into)+2)/3*4 || text[len(text)-1] != '=' {
		return false
	}
	data, ok := bytesOf(text)
	if !ok || len(data) != len(into) {
		return false
	}
	copy(into, data)
	return !isZero(into)
}

func isZero(id []byte) bool {
	for _, one := range id {
		if one != 0 {
			return false
		}
	}
	return true
}

// isNoID tells whether a value says that there is no id of so many digits.
func isNoID(value any, digits int) bool {
	if value == nil {
		return true
	}
	text, ok := value.(string)
	if !ok || text != "" && len(text) != digits {
		return false
	}
	for i := range len(text) {
		if text[i] != '0' {
			return false
		}
	}
	return true
}

// isHex tells whether a text consists of hex digits only.
func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}
