package callstore

import (
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// TraceID and SpanID are OpenTelemetry's ids.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// Tenant separates calls that must not meet: the values of the configured metadata keys.
type Tenant struct {
	// Name holds the values in a form that is a key and can be taken apart again; "" where none are configured.
	Name string
}

// NewTenant makes a tenant of the values of each metadata key.
func NewTenant(values [][]string) *Tenant {
	parts := make([]string, len(values))
	for i, list := range values {
		escaped := make([]string, len(list))
		for j, value := range list {
			escaped[j] = "=" + url.QueryEscape(value)
		}
		parts[i] = strings.Join(escaped, "&")
	}
	return &Tenant{Name: strings.Join(parts, ";")}
}

// Values are what NewTenant was given.
func (t *Tenant) Values() [][]string {
	parts := strings.Split(t.Name, ";")
	values := make([][]string, len(parts))
	for i, part := range parts {
		if part == "" {
			continue
		}
		for one := range strings.SplitSeq(part, "&") {
			value, err := url.QueryUnescape(strings.TrimPrefix(one, "="))
			if err != nil {
				continue // no key of ours
			}
			values[i] = append(values[i], value)
		}
	}
	return values
}

// Key names a call.
type Key struct {
	Tenant *Tenant
	Trace  TraceID
}

var errKey = errors.New("a key that is none of ours")

// Text is the key as part of a stored record's name.
func (k Key) Text() string {
	return hex.EncodeToString(k.Trace[:]) + "/" + k.Tenant.Name
}

// ParseKey reads a record's name.
func (s *Store) ParseKey(text string) (Key, error) {
	id, tenant, found := strings.Cut(text, "/")
	var key Key
	if !found || len(id) != 2*len(key.Trace) {
		return key, errKey
	}
	if _, err := hex.Decode(key.Trace[:], []byte(id)); err != nil {
		return key, errKey
	}
	key.Tenant = s.Tenant(tenant)
	return key, nil
}
