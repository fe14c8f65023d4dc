//go:generate mdatagen metadata.yaml

// Package cximpactprocessor judges contact-centre calls inside a Collector.
//
// Every span passes straight through, except the root of a call: it is held for a few seconds, stamped with the
// verdict of the impact model (spec/impact/model.md), and released together with its evidence spans.
package cximpactprocessor
