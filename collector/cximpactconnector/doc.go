//go:generate mdatagen metadata.yaml

// Package cximpactconnector turns verdicts on contact-centre calls into metrics and log records.
//
// It reads what the processor cx_impact wrote on spans: the verdict on a call's root, and the judge's own spans
// (partial calls, corrections, warnings). It keeps nothing of a call, only the series that it counts in.
package cximpactconnector
