// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// The types of BSON, https://bsonspec.org/spec.html.
const (
	kindDouble     = 0x01
	kindString     = 0x02
	kindDocument   = 0x03
	kindArray      = 0x04
	kindBinary     = 0x05
	kindUndefined  = 0x06
	kindObjectID   = 0x07
	kindBool       = 0x08
	kindDate       = 0x09
	kindNull       = 0x0A
	kindRegex      = 0x0B
	kindDBPointer  = 0x0C
	kindCode       = 0x0D
	kindSymbol     = 0x0E
	kindCodeScope  = 0x0F
	kindInt32      = 0x10
	kindTimestamp  = 0x11
	kindInt64      = 0x12
	kindDecimal128 = 0x13
	kindMinKey     = 0xFF
	kindMaxKey     = 0x7F
)

var errBroken = errors.New("the message holds what is no BSON")

// document is one whole BSON document, its length and its last NUL included.
type document []byte

// value is one BSON value: its type and its bytes.
type value struct {
	kind byte
	data []byte
}

// field is one element of a document.
type field struct {
	key string
	value
}

// wholeDocument cuts the document off that a buffer begins with.
func wholeDocument(data []byte) (document, []byte, error) {
	if len(data) < 5 {
		return nil, nil, errBroken
	}
	length := int(binary.LittleEndian.Uint32(data))
	if length < 5 || length > len(data) || data[length-1] != 0 {
		return nil, nil, errBroken
	}
	return document(data[:length]), data[length:], nil
}

// fields are the elements of a document, in order.
func (d document) fields() ([]field, error) {
	var found []field
	rest := []byte(d[4 : len(d)-1])
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, 0)
		if end < 1 {
			return nil, errBroken
		}
		size, err := valueSize(rest[0], rest[end+1:])
		if err != nil {
			return nil, err
		}
		found = append(found, field{string(rest[1:end]), value{rest[0], rest[end+1 : end+1+size]}})
		rest = rest[end+1+size:]
	}
	return found, nil
}

// lookup is the value of a key, of kind 0 where the document does not have it or is broken before.
func (d document) lookup(key string) value {
	found, _ := d.fields()
	for _, one := range found {
		if one.key == key {
			return one.value
		}
	}
	return value{}
}

// valueSize is the number of bytes of a value that a buffer begins with.
func valueSize(kind byte, data []byte) (int, error) {
	size := 0
	switch kind {
	case kindUndefined, kindNull, kindMinKey, kindMaxKey:
	case kindBool:
		size = 1
	case kindInt32:
		size = 4
	case kindDouble, kindDate, kindTimestamp, kindInt64:
		size = 8
	case kindObjectID:
		size = 12
	case kindDecimal128:
		size = 16
	case kindRegex:
		first := bytes.IndexByte(data, 0)
		second := bytes.IndexByte(data[first+1:], 0)
		if first < 0 || second < 0 {
			return 0, errBroken
		}
		size = first + second + 2
	case kindString, kindCode, kindSymbol, kindBinary, kindDBPointer, kindDocument, kindArray, kindCodeScope:
		if len(data) < 4 {
			return 0, errBroken
		}
		size = int(int32(binary.LittleEndian.Uint32(data)))
		if size < 0 {
			return 0, errBroken
		}
		size += map[byte]int{kindString: 4, kindCode: 4, kindSymbol: 4, kindBinary: 5, kindDBPointer: 16}[kind]
	default:
		return 0, fmt.Errorf("%w: type %#x", errBroken, kind)
	}
	if size > len(data) {
		return 0, errBroken
	}
	return size, nil
}

func (v value) isDocument() bool { return v.kind == kindDocument && len(v.data) >= 5 }

// document is a value's document; an empty one where it is something else.
func (v value) document() document {
	if (v.kind == kindDocument || v.kind == kindArray) && len(v.data) >= 5 {
		return document(v.data)
	}
	return document{5, 0, 0, 0, 0}
}

// text is a string's text; empty where it is something else.
func (v value) text() string {
	if v.kind != kindString || len(v.data) < 5 {
		return ""
	}
	return string(v.data[4 : len(v.data)-1])
}

func (v value) isNumber() bool {
	return v.kind == kindDouble || v.kind == kindInt32 || v.kind == kindInt64
}

// integer is a number without what stands behind its point; 0 where it is none.
func (v value) integer() int64 {
	switch v.kind {
	case kindDouble:
		return int64(math.Float64frombits(binary.LittleEndian.Uint64(v.data)))
	case kindInt32:
		return int64(int32(binary.LittleEndian.Uint32(v.data)))
	case kindInt64:
		return int64(binary.LittleEndian.Uint64(v.data))
	}
	return 0
}

func (v value) float() float64 {
	if v.kind == kindDouble {
		return math.Float64frombits(binary.LittleEndian.Uint64(v.data))
	}
	return float64(v.integer())
}

// truth says whether a flag of a command is set.
func (v value) truth() bool {
	return (v.kind == kindBool && v.data[0] != 0) || (v.isNumber() && v.float() != 0)
}

// builder writes one document.
type builder struct {
	data  []byte
	start int
}

func newBuilder() *builder { return buildOnto(nil) }

// buildOnto begins a document behind what a buffer holds already.
func buildOnto(data []byte) *builder {
	return &builder{append(data, 0, 0, 0, 0), len(data)}
}

func (b *builder) element(kind byte, key string) {
	b.data = append(append(append(b.data, kind), key...), 0)
}

func (b *builder) put(key string, v value) *builder {
	b.element(v.kind, key)
	b.data = append(b.data, v.data...)
	return b
}

func (b *builder) string(key, text string) *builder { return b.put(key, stringValue(text)) }
func (b *builder) int32(key string, number int) *builder {
	return b.put(key, value{kindInt32, binary.LittleEndian.AppendUint32(nil, uint32(int32(number)))})
}
func (b *builder) int64(key string, number int64) *builder { return b.put(key, int64Value(number)) }
func (b *builder) double(key string, number float64) *builder {
	return b.put(key, value{kindDouble, binary.LittleEndian.AppendUint64(nil, math.Float64bits(number))})
}
func (b *builder) date(key string, milliseconds int64) *builder {
	return b.put(key, value{kindDate, binary.LittleEndian.AppendUint64(nil, uint64(milliseconds))})
}
func (b *builder) bool(key string, flag bool) *builder {
	data := []byte{0}
	if flag {
		data[0] = 1
	}
	return b.put(key, value{kindBool, data})
}
func (b *builder) binary(key string, subtype byte, content []byte) *builder {
	data := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	return b.put(key, value{kindBinary, append(append(data, subtype), content...)})
}
func (b *builder) document(key string, d document) *builder {
	return b.put(key, value{kindDocument, d})
}
func (b *builder) array(key string, values []value) *builder {
	inner := newBuilder()
	for index, one := range values {
		inner.put(strconv.Itoa(index), one)
	}
	return b.put(key, value{kindArray, inner.finish()})
}

// finish ends the document and returns it without what stood before it.
func (b *builder) finish() document {
	b.data = append(b.data, 0)
	binary.LittleEndian.PutUint32(b.data[b.start:], uint32(len(b.data)-b.start))
	return document(b.data[b.start:])
}

func stringValue(text string) value {
	data := binary.LittleEndian.AppendUint32(nil, uint32(len(text)+1))
	return value{kindString, append(append(data, text...), 0)}
}

func int64Value(number int64) value {
	return value{kindInt64, binary.LittleEndian.AppendUint64(nil, uint64(number))}
}

func documentValue(d document) value { return value{kindDocument, d} }

func documentValues(documents []document) []value {
	values := make([]value, len(documents))
	for index, one := range documents {
		values[index] = documentValue(one)
	}
	return values
}
