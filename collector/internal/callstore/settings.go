package callstore

import (
	"time"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

// Settings are what a store is told once.
type Settings struct {
	Parameters *impact.Parameters

	// Grace is how long a root is held after it arrived.
	Grace time.Duration
	// IdleTimeout is how long a call without its root may be silent before it is told as partial.
	IdleTimeout time.Duration
	// MaxCallDuration is how long a call may go on without its root before it is told as partial all the same.
	MaxCallDuration time.Duration
	// CorrectionWindow is how long a call is remembered after it was told.
	CorrectionWindow time.Duration

	// MaxCalls bounds the calls remembered.
	MaxCalls int
	// MaxBytesPerCall bounds the memory of one call's facts, and the size of a root that is held.
	MaxBytesPerCall int

	// TrustStamped lets roots pass that carry a verdict.
	TrustStamped bool
	// Warnings has calls told of while they run.
	Warnings bool
	// Persist keeps account of what changed, for TakeChanged.
	Persist bool
}
