package cximpactconnector

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cxotel/cxotel/collector/internal/spec"
)

// written are the names that metrics have of themselves: a dimension of the same name would be written twice.
var written = []string{
	spec.CxLayer, spec.CxOwner, spec.CxImpactSeverity, spec.CxCallOutcome, spec.CxWarningWhat, overflowAttribute,
}

// Each flush sends every series, by default up to 2,000 a metric, and nobody scrapes more than once a second: a tenth
// of that leaves room for tests, and keeps a bare number, which is read as nanoseconds, from taking a whole core.
const shortestFlush = 100 * time.Millisecond

// check says what the schema in metadata.yaml cannot: all that is wrong, and how to mend it.
func check(c *Config) error {
	var all []error
	refuse := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for i, one := range c.Dimensions {
		switch {
		case one.Name == "":
			refuse("dimensions[%d]: has no name; give the name of an attribute", i)
		case slices.Contains(written, one.Name):
			refuse("dimensions[%d]: %s is written anyway, where it applies; leave it out", i, one.Name)
		case strings.HasPrefix(one.Name, personal):
			refuse("dimensions[%d]: %s is personal; metrics and log records must not carry it", i, one.Name)
		case seen[one.Name]:
			refuse("dimensions[%d]: %s is given twice", i, one.Name)
		}
		if len(one.Default) > maxText {
			refuse("dimensions[%d]: default has %d bytes; at most %d", i, len(one.Default), maxText)
		}
		seen[one.Name] = true
	}
	if c.FlushInterval < shortestFlush {
		refuse("flush_interval: %v given; less than %v; write the unit, such as flush_interval: 15s", c.FlushInterval, shortestFlush)
	}
	if c.SeriesExpiration > 0 && c.SeriesExpiration < shortestFlush {
		refuse("series_expiration: %v given; less than %v; write the unit, such as series_expiration: 1h", c.SeriesExpiration, shortestFlush)
	} else if c.SeriesExpiration != 0 && c.SeriesExpiration < 2*c.FlushInterval {
		refuse("series_expiration: %v given; must be 0s (never), or at least twice flush_interval (%v), as a new series needs two flushes",
			c.SeriesExpiration, c.FlushInterval)
	}
	if c.ExemplarsPerSeries < 0 {
		refuse("exemplars_per_series: %d given; must not be negative", c.ExemplarsPerSeries)
	}
	if len(c.MosBuckets) == 0 {
		refuse("mos_buckets: no bounds given; leave it out for the default ones")
	}
	for i, bound := range c.MosBuckets {
		if math.IsNaN(bound) || math.IsInf(bound, 0) || i > 0 && bound <= c.MosBuckets[i-1] {
			refuse("mos_buckets[%d]: %v given; bounds are numbers, each greater than the one before", i, bound)
		}
	}
	return errors.Join(all...)
}
