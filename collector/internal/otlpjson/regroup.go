package otlpjson

// Received is a span as received, with all its fields, and what it came in.
type Received struct {
	spanID [8]byte
	end    uint64
	isOurs bool // of the judge's own scope
	raw    *object
	scoped *object
	group  *object
}

// regroup gives ResourceSpans with the spans as received, in the form OTLP/JSON demands. Neighbours that came in one
// group stay in one.
func regroup(received []Received) []any {
	var groups, scopes, spans []any
	closeScope := func() {
		if len(scopes) > 0 {
			scopes[len(scopes)-1].(*object).set("spans", spans)
		}
		spans = nil
	}
	closeGroup := func() {
		closeScope()
		if len(groups) > 0 {
			groups[len(groups)-1].(*object).set("scopeSpans", scopes)
		}
		scopes = nil
	}
	for i, one := range received {
		if i == 0 || one.group != received[i-1].group {
			closeGroup()
			groups = append(groups, without(one.group, "scopeSpans", "scope_spans"))
			scopes = append(scopes, without(one.scoped, "spans"))
		} else if one.scoped != received[i-1].scoped {
			closeScope()
			scopes = append(scopes, without(one.scoped, "spans"))
		}
		spans = append(spans, conform(one.raw, 0))
	}
	closeGroup()
	return groups
}

// without gives an object in the form OTLP/JSON demands, without some fields.
func without(node *object, names ...string) *object {
	kept := new(object)
	for i, key := range node.keys {
		isNamed := false
		for _, name := range names {
			isNamed = isNamed || key == name
		}
		if !isNamed {
			kept.set(key, node.values[i])
		}
	}
	return conform(kept, 0).(*object)
}
