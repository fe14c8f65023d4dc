package impact

import (
	"slices"
	"sort"
)

// interval is half open.
type interval struct{ start, end uint64 }

// instants is a set of instants as sorted, disjoint intervals.
type instants []interval

// union has every instant that is in any of the intervals; empty ones are dropped, touching ones joined. It sorts
// what it is given.
func union(intervals []interval) instants {
	slices.SortFunc(intervals, func(a, b interval) int {
		if a.start != b.start {
			return compare(a.start, b.start)
		}
		return compare(a.end, b.end)
	})
	var joined instants
	for _, one := range intervals {
		if one.end <= one.start {
			continue
		}
		if last := len(joined) - 1; last >= 0 && one.start <= joined[last].end {
			joined[last].end = max(joined[last].end, one.end)
			continue
		}
		joined = append(joined, one)
	}
	return joined
}

func compare[T uint64 | int64 | int | float64 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// minus has the instants that are not in the other set.
func (s instants) minus(taken instants) instants {
	if len(taken) == 0 {
		return s
	}
	var left instants
	position := 0
	for _, one := range s {
		for position < len(taken) && taken[position].end <= one.start {
			position++
		}
		at := one.start
		for ahead := position; ahead < len(taken) && taken[ahead].start < one.end; ahead++ {
			if taken[ahead].start > at {
				left = append(left, interval{at, taken[ahead].start})
			}
			at = taken[ahead].end
		}
		if at < one.end {
			left = append(left, interval{at, one.end})
		}
	}
	return left
}

// within is the part of the set that lies in start..end.
func (s instants) within(start, end uint64) instants {
	first := sort.Search(len(s), func(i int) bool { return s[i].end > start })
	last := first + sort.Search(len(s)-first, func(i int) bool { return s[first+i].start >= end })
	return clip(s[first:last], start, end)
}

// clip has the part of each interval that lies in start..end; order is kept, empty ones are dropped.
func clip(intervals []interval, start, end uint64) []interval {
	var clipped []interval
	for _, one := range intervals {
		if low, high := max(one.start, start), min(one.end, end); low < high {
			clipped = append(clipped, interval{low, high})
		}
	}
	return clipped
}
