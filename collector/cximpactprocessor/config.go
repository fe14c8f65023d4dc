package cximpactprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cxotel/cxotel/collector/internal/callstore"
	"github.com/cxotel/cxotel/collector/internal/impact"
)

// Values of the configuration (metadata.yaml, from which Config is generated).
const (
	flush   = "flush"
	persist = "persist"
	never   = "never"
)

// check says what Validate, which looks at one field at a time, does not see; all of it, and how to mend it. It also
// gives the model's parameters.
func (c *Config) check() (*impact.Parameters, error) {
	var all []error
	refuse := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for name, given := range map[string]time.Duration{
		"grace": c.Grace, "idle_timeout": c.IdleTimeout, "max_call_duration": c.MaxCallDuration,
		"correction_window": c.CorrectionWindow,
	} {
		if given > 0 && given < time.Millisecond { // a bare number is read as nanoseconds
			refuse("%s: %v given; less than 1ms; write the unit, such as %s: 6s", name, given, name)
		}
	}
	if c.Grace < 0 {
		refuse("grace: %v given; must not be negative", c.Grace)
	}
	if c.IdleTimeout <= c.Grace {
		refuse("idle_timeout: %v given; must be longer than grace (%v)", c.IdleTimeout, c.Grace)
	}
	if c.MaxCallDuration < c.IdleTimeout {
		refuse("max_call_duration: %v given; must not be shorter than idle_timeout (%v)", c.MaxCallDuration, c.IdleTimeout)
	}
	if c.CorrectionWindow <= c.Grace {
		refuse("correction_window: %v given; must be longer than grace (%v)", c.CorrectionWindow, c.Grace)
	}
	if c.MaxCalls < 1 {
		refuse("max_calls: %d given; must be 1 or more", c.MaxCalls)
	}
	if c.MetadataCardinalityLimit < 1 {
		refuse("metadata_cardinality_limit: %d given; must be 1 or more", c.MetadataCardinalityLimit)
	}
	if len(c.CopyToRoot) > callstore.MaxCopied {
		refuse("copy_to_root: %d names given; at most %d", len(c.CopyToRoot), callstore.MaxCopied)
	}
	for i, name := range c.CopyToRoot {
		if name == "" || isStamp(name) {
			refuse("copy_to_root: %q given; must be a name that no verdict writes", name)
		}
		if slices.Contains(c.CopyToRoot[:i], name) {
			refuse("copy_to_root: %q given twice", name)
		}
	}
	seen := map[string]bool{}
	for _, key := range c.MetadataKeys {
		lower := strings.ToLower(key)
		if key == "" {
			refuse(`metadata_keys: "" given; must be the name of a header`)
		}
		if seen[lower] {
			refuse("metadata_keys: %q given twice (case does not count)", key)
		}
		seen[lower] = true
	}
	if c.OnShutdown == persist && c.Storage == nil {
		refuse("on_shutdown: persist needs a storage; name one in `storage`")
	}
	parameters, err := impact.Default().Override(c.Parameters)
	if err != nil {
		refuse("parameters: %w", err)
	}
	return parameters, errors.Join(all...)
}
