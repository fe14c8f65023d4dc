package impact

import "math"

// Times are ns since the Unix epoch, as OTLP has them: whole numbers up to 2^64 - 1. Sums stay in that range.
//
// In this package a product that is added to something is rounded first, float64(a*b) + c: on arm64 and others Go may
// else fuse both into one operation, whose last digit is not that of the other engines.

func plus(t, d uint64) uint64 {
	if sum := t + d; sum >= t {
		return sum
	}
	return math.MaxUint64
}

func less(t, d uint64) uint64 {
	if d > t {
		return 0
	}
	return t - d
}

// apart is how far two times lie from each other.
func apart(a, b uint64) uint64 {
	if a > b {
		return a - b
	}
	return b - a
}

// times of n windows of a length.
func times(n int, length uint64) uint64 {
	if n > 0 && length > math.MaxUint64/uint64(n) {
		return math.MaxUint64
	}
	return uint64(n) * length
}

// nanoseconds of a number of seconds that is not negative, rounded half up.
func nanoseconds(seconds float64) uint64 { return uint64(math.Floor(float64(seconds*1e9) + 0.5)) }

// rounded rounds half up to a number of decimals, as everywhere in the model.
func rounded(value float64, decimals int) float64 {
	factor := math.Pow10(decimals)
	return math.Floor(float64(value*factor)+0.5) / factor
}

// whole is a sum of charges in whole ns: what is said of it does not hang on the order of adding up.
func whole(ns float64) uint64 {
	const most = 1 << 64
	switch rounded := math.Floor(ns + 0.5); {
	case !(rounded > 0):
		return 0
	case rounded >= most:
		return math.MaxUint64
	default:
		return uint64(rounded)
	}
}

// milliseconds is a sum of charges in whole ms, rounded half up.
func milliseconds(ns float64) int64 { return int64(plus(whole(ns), 500_000) / 1_000_000) }

// roundedSeconds is a sum of charges in seconds, rounded half up, exactly.
func roundedSeconds(ns float64, decimals int) float64 {
	unit := uint64(math.Pow10(9 - decimals))
	return float64(plus(whole(ns), unit/2)/unit) / math.Pow10(decimals)
}
