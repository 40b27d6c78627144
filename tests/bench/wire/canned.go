// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/binary"
	"strconv"
)

// segment is a run of documents whose `_id` is of one type and grows. The documents are those of a pool, again and again, each time
// with another `_id`, so that a collection of any size takes no more memory than its pool.
type segment struct {
	kind  byte
	count int
	pool  *pool
}

// pool holds documents without their length and without the `_id` that they begin with.
type pool struct {
	arena []byte
	ends  []int // where each document ends in the arena
}

func (p *pool) add(rest []byte) {
	p.arena = append(p.arena, rest...)
	p.ends = append(p.ends, len(p.arena))
}

func (p *pool) rest(index int) []byte {
	index %= len(p.ends)
	start := 0
	if index > 0 {
		start = p.ends[index-1]
	}
	return p.arena[start:p.ends[index]]
}

// first is the size of the first documents of the pool and, behind its end, of the pool again.
func (p *pool) first(count int) int64 {
	whole, part := count/len(p.ends), count%len(p.ends)
	size := int64(whole) * int64(len(p.arena))
	if part > 0 {
		size += int64(p.ends[part-1])
	}
	return size
}

// headSize is the size of what stands before the pool's part of a document: its length and its `_id`.
func headSize(kind byte) int {
	return map[byte]int{kindObjectID: 9 + 12, kindInt64: 9 + 8, kindString: 9 + 4 + textDigits + len(textPrefix) + 1}[kind]
}

const (
	textPrefix = "order-"
	textDigits = 14
)

// appendID adds the bytes of an `_id`, which grows with the index in the order that MongoDB has for its type.
func appendID(data []byte, kind byte, index int) []byte {
	switch kind {
	case kindObjectID:
		// As drivers make them: seconds, a number of the process, a counter, which begins anew together with a second.
		data = binary.BigEndian.AppendUint32(data, uint32(0x65800000+index/64))
		data = append(data, 0x9c, 0x41, 0xd7, 0x0e, 0x55)
		return append(data, byte(index>>16), byte(index>>8), byte(index))
	case kindInt64:
		return binary.LittleEndian.AppendUint64(data, uint64(3*index+1))
	}
	digits := strconv.Itoa(7 * index)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(textPrefix)+textDigits+1))
	data = append(data, textPrefix...)
	for range textDigits - len(digits) {
		data = append(data, '0')
	}
	return append(append(data, digits...), 0)
}

func (s *segment) id(index int) value { return value{s.kind, appendID(nil, s.kind, index)} }

// size is the number of bytes of a document.
func (s *segment) size(index int) int { return headSize(s.kind) + len(s.pool.rest(index)) }

// appendHead adds what a document begins with, up to what the pool holds of it.
func (s *segment) appendHead(data []byte, index int) []byte {
	data = binary.LittleEndian.AppendUint32(data, uint32(s.size(index)))
	data = append(data, s.kind, '_', 'i', 'd', 0)
	return appendID(data, s.kind, index)
}

func (s *segment) bytes() int64 {
	return int64(s.count)*int64(headSize(s.kind)) + s.pool.first(s.count)
}

// canned is a collection that is read and never written.
type canned struct {
	name     string
	uuid     []byte
	indexes  []document
	segments []*segment // in the order of the types of their `_id`

	digested digestOnce
}

func (c *canned) all() selection {
	var whole selection
	for _, one := range c.segments {
		if one.count > 0 {
			whole = append(whole, span{one, 0, one.count})
		}
	}
	return whole
}

func (c *canned) count() int { return c.all().count() }

func (c *canned) bytes() int64 {
	total := int64(0)
	for _, one := range c.segments {
		if one.count > 0 {
			total += one.bytes()
		}
	}
	return total
}
