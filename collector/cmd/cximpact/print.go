package main

import (
	"encoding/hex"

	"github.com/cxotel/cxotel/collector/internal/impact"
	"github.com/cxotel/cxotel/collector/internal/otlpjson"
)

// lineOf is what is printed of a trace.
func lineOf(one *trace, verdict *impact.Verdict, isOTLP bool) []byte {
	if isOTLP {
		return append(otlpjson.AppendStamped(nil, one.received, verdict), '\n')
	}
	out := append([]byte(nil), `{"trace_id": "`...)
	out = hex.AppendEncode(out, one.id[:])
	out = append(out, `", "attributes": `...)
	return append(otlpjson.AppendAttributes(out, verdict.Attributes), "}\n"...)
}
