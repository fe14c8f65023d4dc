package otlpjson

import "math/big"

// A parsed JSON value is one of nil, bool, number, float64, string, []any and *object. A string is UTF-8, but for
// a half of a surrogate pair, which has the three bytes that UTF-8 would give it.

// number is a whole number as written: an optional minus and digits, of any length.
type number string

// indexFrom is the size from which an object is searched by a map: below it a scan is faster.
const indexFrom = 12

// object is a JSON object with its keys in order; of a key given twice the last value counts, at the first place.
type object struct {
	keys   []string
	values []any
	index  map[string]int
}

func (o *object) find(key string) int {
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	for i, known := range o.keys {
		if known == key {
			return i
		}
	}
	return -1
}

// has tells whether there is such a key, be its value null.
func (o *object) has(key string) bool { return o.find(key) >= 0 }

// get gives the value of a key, nil if there is none.
func (o *object) get(key string) any {
	if i := o.find(key); i >= 0 {
		return o.values[i]
	}
	return nil
}

// first gives the value under the first of the names that is there and not null, else nil.
func (o *object) first(names ...string) any {
	for _, name := range names {
		if value := o.get(name); value != nil {
			return value
		}
	}
	return nil
}

func (o *object) set(key string, value any) {
	if i := o.find(key); i >= 0 {
		o.values[i] = value
		return
	}
	o.keys = append(o.keys, key)
	o.values = append(o.values, value)
	if o.index != nil {
		o.index[key] = len(o.keys) - 1
	} else if len(o.keys) >= indexFrom {
		o.index = make(map[string]int, 2*indexFrom)
		for i, known := range o.keys {
			o.index[known] = i
		}
	}
}

// objectOf makes an object of keys and values in turns.
func objectOf(pairs ...any) *object {
	o := new(object)
	for i := 0; i+1 < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// typeName is what problems call a value's type.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case number:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []any:
		return "list"
	}
	return "dict"
}

// equal tells whether two values are the same, whatever the order of objects' keys and the way of writing numbers.
func equal(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		other, ok := b.(string)
		return ok && a == other
	case []any:
		other, ok := b.([]any)
		if !ok || len(a) != len(other) {
			return false
		}
		for i := range a {
			if !equal(a[i], other[i]) {
				return false
			}
		}
		return true
	case *object:
		other, ok := b.(*object)
		return ok && equalObjects(a, other)
	}
	x, isNumber := exact(a)
	y, areNumbers := exact(b)
	return isNumber && areNumbers && x.Cmp(y) == 0
}

func equalObjects(a, b *object) bool {
	if a == b {
		return true
	}
	if len(a.keys) != len(b.keys) {
		return false
	}
	for i, key := range a.keys {
		at := b.find(key)
		if at < 0 || !equal(a.values[i], b.values[at]) {
			return false
		}
	}
	return true
}

// exact gives a number's exact value (true is 1, as where these documents are compared in Python).
func exact(value any) (*big.Float, bool) {
	switch value := value.(type) {
	case bool:
		if value {
			return big.NewFloat(1), true
		}
		return new(big.Float), true
	case number:
		whole, ok := new(big.Int).SetString(string(value), 10)
		return new(big.Float).SetInt(whole), ok
	case float64:
		if value != value {
			return nil, false
		}
		return big.NewFloat(value), true
	}
	return nil, false
}
