package callstore

import (
	"bytes"
	"testing"
	"time"

	"github.com/cxotel/cxotel/collector/internal/impact"
)

func newStore() *Store {
	return New(Settings{
		Parameters: impact.Default(), Grace: time.Second, IdleTimeout: time.Minute, MaxCallDuration: time.Hour,
		CorrectionWindow: time.Minute, MaxCalls: 1000, MaxBytesPerCall: 1 << 16, Persist: true,
	})
}

// storedCall is the record of a call with all that a record can have.
func storedCall() Record {
	s := newStore()
	tenant := s.Tenant(NewTenant([][]string{{"a", "b&;="}, nil}).Name)
	span := &Span{
		Input: &impact.Input{Name: "call inbound", Start: 1, End: 5}, Concerns: true, IsRoot: true, Announced: true,
		Copied: []string{"Acme", ""}, Aliases: []Alias{{Trace: TraceID{9}, Root: SpanID{9}}}, Payload: []byte{1},
	}
	span.TraceID, span.SpanID = TraceID{1}, SpanID{2}
	span.Values[impact.AttrLayer] = impact.Value{Kind: impact.KindString, String: "call"}
	s.Add(tenant, span, 10, &Cursor{})
	s.Due(int64(2 * time.Second))
	return s.Record(Key{tenant, TraceID{1}})
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	want := storedCall()
	s := newStore()
	if err := s.Restore(want, int64(3*time.Second), true); err != nil {
		t.Fatal(err)
	}
	key, err := s.ParseKey(want.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Record(key); got.Name != want.Name || !bytes.Equal(got.Value, want.Value) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	values := key.Tenant.Values()
	if len(values) != 2 || len(values[0]) != 2 || values[0][1] != "b&;=" || values[1] != nil {
		t.Errorf("tenant %q", values)
	}
}

func TestRecordsOfOthersAreRefused(t *testing.T) {
	good := storedCall()
	for name, value := range map[string][]byte{
		good.Name:                         append([]byte{99}, good.Value[1:]...), // another version
		good.Name + "x":                   nil,
		"zz":                              good.Value,
		"00/":                             good.Value,
		"0102030405060708091011121314xx/": good.Value,
	} {
		if err := newStore().Restore(Record{name, value}, 1, true); err == nil {
			t.Errorf("%q was read", name)
		}
	}
}

// FuzzRestore reads any bytes as the record of a call: an error, or a call that lives on.
func FuzzRestore(f *testing.F) {
	good := storedCall()
	f.Add(good.Name, good.Value, true)
	f.Add("00", []byte{}, false)
	f.Fuzz(func(t *testing.T, name string, value []byte, clean bool) {
		s := newStore()
		if err := s.Restore(Record{name, value}, 1, clean); err != nil {
			return
		}
		key, err := s.ParseKey(name)
		if err != nil {
			t.Fatal(err)
		}
		again := newStore()
		if err := again.Restore(Record{name, s.Record(key).Value}, 1, true); err != nil {
			t.Fatal(err)
		}
		s.Due(int64(time.Hour))
		s.Due(int64(3 * time.Hour))
		s.Flush(int64(4 * time.Hour))
	})
}
