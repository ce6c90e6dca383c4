package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// TableFromJSON makes values of a JSON object, in its order and with the types
// that the stock tools choose: whole numbers become int32 or, if they do not
// fit, int64; other numbers become doubles.
// Source: libubox blobmsg_json.c.
func TableFromJSON(text []byte) (Table, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := jsonValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("ubus: more behind a JSON object")
	}
	t, ok := v.(Table)
	if !ok {
		return nil, errors.New("ubus: expected a JSON object")
	}
	return t, nil
}

// jsonValue reads the value that comes next. depth is that of what holds it.
func jsonValue(d *json.Decoder, depth int) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch x := tok.(type) {
	case json.Number:
		return number(x)
	case json.Delim:
		if depth >= MaxDepth {
			return nil, ErrDepth
		}
		if x == '[' {
			return jsonArray(d, depth+1)
		}
		return jsonTable(d, depth+1)
	}
	return tok, nil // string, bool or nil
}

func jsonArray(d *json.Decoder, depth int) (any, error) {
	a := Array{}
	for d.More() {
		v, err := jsonValue(d, depth)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	_, err := d.Token()
	return a, err
}

func jsonTable(d *json.Decoder, depth int) (any, error) {
	t := Table{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string)
		v, err := jsonValue(d, depth)
		if err != nil {
			return nil, err
		}
		t = append(t, Field{name, v})
	}
	_, err := d.Token()
	return t, err
}

func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		if i >= math.MinInt32 && i <= math.MaxInt32 {
			return int32(i), nil
		}
		return i, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("ubus: the number %s is too large", n)
	}
	return f, nil
}

// Native turns values into what encoding/json makes of JSON: whole numbers are
// int64, tables map[string]any, arrays []any.
func (t Table) Native() map[string]any {
	m := make(map[string]any, len(t))
	for _, f := range t {
		m[f.Name] = native(f.Value)
	}
	return m
}

func native(v any) any {
	switch x := v.(type) {
	case Table:
		return x.Native()
	case Array:
		a := make([]any, len(x))
		for i, e := range x {
			a[i] = native(e)
		}
		return a
	case int16:
		return int64(x)
	case int32:
		return int64(x)
	}
	return v
}
