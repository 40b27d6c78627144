// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"sort"
)

// kindNames are the names that `$type` has for types, https://www.mongodb.com/docs/manual/reference/operator/query/type/.
var kindNames = map[string][]byte{
	"double": {kindDouble}, "string": {kindString}, "object": {kindDocument}, "array": {kindArray}, "binData": {kindBinary},
	"undefined": {kindUndefined}, "objectId": {kindObjectID}, "bool": {kindBool}, "date": {kindDate}, "null": {kindNull},
	"regex": {kindRegex}, "dbPointer": {kindDBPointer}, "javascript": {kindCode}, "symbol": {kindSymbol},
	"javascriptWithScope": {kindCodeScope}, "int": {kindInt32}, "timestamp": {kindTimestamp}, "long": {kindInt64},
	"decimal": {kindDecimal128}, "minKey": {kindMinKey}, "maxKey": {kindMaxKey},
	"number": {kindDouble, kindInt32, kindInt64, kindDecimal128},
}

// bracket is a type's place in the order of BSON's types; types of one bracket compare with each other.
// https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
func bracket(kind byte) int {
	switch kind {
	case kindMinKey:
		return 0
	case kindUndefined, kindNull:
		return 1
	case kindDouble, kindInt32, kindInt64, kindDecimal128:
		return 2
	case kindString, kindSymbol:
		return 3
	case kindDocument:
		return 4
	case kindArray:
		return 5
	case kindBinary:
		return 6
	case kindObjectID:
		return 7
	case kindBool:
		return 8
	case kindDate:
		return 9
	case kindTimestamp:
		return 10
	case kindRegex:
		return 11
	case kindMaxKey:
		return 14
	}
	return 12
}

// compare orders two values as MongoDB does, for the types that an `_id` here has; others of one bracket compare by their bytes.
func compare(left, right value) int {
	if difference := cmp.Compare(bracket(left.kind), bracket(right.kind)); difference != 0 {
		return difference
	}
	switch {
	case left.kind == kindInt64 && right.isNumber() && right.kind != kindDouble:
		return cmp.Compare(left.integer(), right.integer())
	case left.isNumber() && right.isNumber():
		return cmp.Compare(left.float(), right.float())
	case left.kind == kindString && right.kind == kindString:
		return cmp.Compare(left.text(), right.text())
	case left.kind == kindDate && right.kind == kindDate:
		return cmp.Compare(int64(binary.LittleEndian.Uint64(left.data)), int64(binary.LittleEndian.Uint64(right.data)))
	}
	return bytes.Compare(left.data, right.data)
}

// span is a run of documents of one segment: from is in it, to is not.
type span struct {
	segment  *segment
	from, to int
}

// selection are the documents of a collection that a query finds, in the order of `_id`.
type selection []span

func (s selection) count() int {
	total := 0
	for _, one := range s {
		total += one.to - one.from
	}
	return total
}

// from keeps what stands at and behind the first document for which inside is true.
func (s selection) from(inside func(value) bool) selection {
	var kept selection
	for _, one := range s {
		first := one.from + sort.Search(one.to-one.from, func(index int) bool { return inside(one.segment.id(one.from + index)) })
		if first < one.to {
			kept = append(kept, span{one.segment, first, one.to})
		}
	}
	return kept
}

// until keeps what stands before the first document for which beyond is true.
func (s selection) until(beyond func(value) bool) selection {
	var kept selection
	for _, one := range s {
		end := one.from + sort.Search(one.to-one.from, func(index int) bool { return beyond(one.segment.id(one.from + index)) })
		if end > one.from {
			kept = append(kept, span{one.segment, one.from, end})
		}
	}
	return kept
}

// only keeps the documents whose `_id` is of a type.
func (s selection) only(wanted func(kind byte) bool) selection {
	var kept selection
	for _, one := range s {
		if wanted(one.segment.kind) {
			kept = append(kept, one)
		}
	}
	return kept
}

// skip leaves the first documents out.
func (s selection) skip(number int) selection {
	var kept selection
	for _, one := range s {
		left := min(number, one.to-one.from)
		number -= left
		if one.from+left < one.to {
			kept = append(kept, span{one.segment, one.from + left, one.to})
		}
	}
	return kept
}

// first keeps the first documents.
func (s selection) first(number int) selection {
	var kept selection
	for _, one := range s {
		taken := min(number, one.to-one.from)
		number -= taken
		if taken > 0 {
			kept = append(kept, span{one.segment, one.from, one.from + taken})
		}
	}
	return kept
}

// filtered applies a query, which may speak of `_id` alone.
func (s selection) filtered(query document) (selection, error) {
	conditions, err := query.fields()
	if err != nil {
		return nil, err
	}
	for _, condition := range conditions {
		if condition.key != "_id" {
			return nil, refuse(codeBadValue, "The wire server filters by _id alone, not by %q.", condition.key)
		}
		if s, err = s.where(condition.value); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s selection) where(condition value) (selection, error) {
	operators, err := condition.document().fields()
	if err != nil {
		return nil, err
	}
	if !condition.isDocument() || len(operators) == 0 || operators[0].key[0] != '$' {
		return s.compared("$eq", condition)
	}
	for _, operator := range operators {
		switch operator.key {
		case "$type":
			wanted, err := kinds(operator.value)
			if err != nil {
				return nil, err
			}
			s = s.only(func(kind byte) bool { return bytes.IndexByte(wanted, kind) >= 0 })
		case "$not":
			inner := operator.document().lookup("$type")
			wanted, err := kinds(inner)
			if err != nil || len(operator.document()) == 5 {
				return nil, refuse(codeBadValue, "The wire server knows $not of $type alone.")
			}
			s = s.only(func(kind byte) bool { return bytes.IndexByte(wanted, kind) < 0 })
		default:
			if s, err = s.compared(operator.key, operator.value); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// compared applies a comparison, which finds values of its own bracket alone.
func (s selection) compared(operator string, bound value) (selection, error) {
	if bound.kind != kindMinKey && bound.kind != kindMaxKey {
		s = s.only(func(kind byte) bool { return bracket(kind) == bracket(bound.kind) })
	}
	notBelow := func(id value) bool { return compare(id, bound) >= 0 }
	above := func(id value) bool { return compare(id, bound) > 0 }
	switch operator {
	case "$eq":
		return s.from(notBelow).until(above), nil
	case "$gte":
		return s.from(notBelow), nil
	case "$gt":
		return s.from(above), nil
	case "$lt":
		return s.until(notBelow), nil
	case "$lte":
		return s.until(above), nil
	}
	return nil, refuse(codeBadValue, "The wire server knows no operator %s.", operator)
}

// between applies `min` and `max` of a find, which are bounds of the index and so of all types.
func (s selection) between(least, most value) selection {
	if least.kind != 0 {
		s = s.from(func(id value) bool { return compare(id, least) >= 0 })
	}
	if most.kind != 0 {
		s = s.until(func(id value) bool { return compare(id, most) >= 0 })
	}
	return s
}

// kinds reads what `$type` is given: a name, a number or an array of them.
func kinds(wanted value) ([]byte, error) {
	switch {
	case wanted.kind == kindArray:
		all, err := wanted.document().fields()
		if err != nil {
			return nil, err
		}
		var found []byte
		for _, one := range all {
			more, err := kinds(one.value)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
		return found, nil
	case wanted.isNumber():
		return []byte{byte(wanted.integer())}, nil
	}
	found, known := kindNames[wanted.text()]
	if !known {
		return nil, refuse(codeBadValue, "Unknown type name alias: %q", wanted.text())
	}
	return found, nil
}
