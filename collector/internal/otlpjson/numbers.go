package otlpjson

import (
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// integer is a whole number: its sign and its size, which is math.MaxUint64 where it is huge.
type integer struct {
	negative bool
	size     uint64
	huge     bool // larger than 64 bits hold
}

// integerOf gives a whole number written as number or text; false for any other value (a bool is none).
func integerOf(value any) (integer, bool) {
	switch value := value.(type) {
	case number:
		return integerOfDigits(string(value)), true
	case string:
		digits := strings.TrimPrefix(value, "-")
		if len(value) > 20 || digits == "" || strings.Trim(digits, "0123456789") != "" {
			return integer{}, false
		}
		return integerOfDigits(value), true
	case float64:
		if math.IsInf(value, 0) || value != math.Trunc(value) {
			return integer{}, false
		}
		size := math.Abs(value)
		if size >= 1<<64 {
			return integer{value < 0, math.MaxUint64, true}, true
		}
		return integer{value < 0, uint64(size), false}, true
	}
	return integer{}, false
}

func isInteger(value any) bool {
	_, ok := integerOf(value)
	return ok
}

func integerOfDigits(text string) integer {
	digits := strings.TrimPrefix(text, "-")
	size, err := strconv.ParseUint(digits, 10, 64)
	return integer{len(digits) < len(text) && size > 0, size, err != nil}
}

// int64 gives the number; false if it does not fit.
func (i integer) int64() (int64, bool) {
	switch {
	case i.huge:
		return 0, false
	case i.negative:
		return -int64(i.size), i.size <= 1<<63
	}
	return int64(i.size), i.size <= math.MaxInt64
}

// bigOf gives a value that integerOf takes, exactly.
func bigOf(value any) *big.Int {
	out := new(big.Int)
	switch value := value.(type) {
	case number:
		out.SetString(string(value), 10)
	case string:
		out.SetString(value, 10)
	case float64:
		big.NewFloat(value).Int(out)
	}
	return out
}

// doubleOf gives a number written as number or text, also NaN and infinities; false for any other value.
func doubleOf(value any) (float64, bool) {
	switch value := value.(type) {
	case float64:
		return value, true
	case number:
		double, err := strconv.ParseFloat(string(value), 64)
		return double, err == nil
	case string:
		switch value {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return infinity, true
		case "-Infinity":
			return -infinity, true
		}
		// ParseFloat alone would take "inf", "1_000" and "0x1", which are no JSON numbers.
		if strings.Trim(value, "0123456789+-.eE") != "" {
			return 0, false
		}
		double, err := strconv.ParseFloat(value, 64)
		return double, err == nil || math.IsInf(double, 0)
	}
	return 0, false
}

// bytesOf gives what a text in base64 stands for.
func bytesOf(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, false
	}
	data, err := base64.StdEncoding.DecodeString(text)
	return data, err == nil
}
