// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/binary"
	"net"
	"strconv"
)

const (
	// Documents below this are copied; of longer ones the kernel is told where they stand, which costs less.
	smallestReferred = 1024
	// As MongoDB's own first batch, where nobody says how many documents it shall have.
	firstBatchDocuments = 101
	// A batch's documents with what the array has around them.
	largestBatch = largestDocument - 1024
	noLimit      = int(^uint(0) >> 1)
)

// cursor is a read that is under way.
type cursor struct {
	id        int64
	namespace string
	left      selection
	backwards bool
}

// next takes a document off: the segment and the index in it.
func (c *cursor) next() (*segment, int) {
	if c.backwards {
		last := &c.left[len(c.left)-1]
		last.to--
		taken, index := last.segment, last.to
		if last.to == last.from {
			c.left = c.left[:len(c.left)-1]
		}
		return taken, index
	}
	first := &c.left[0]
	taken, index := first.segment, first.from
	first.from++
	if first.from == first.to {
		c.left = c.left[1:]
	}
	return taken, index
}

// peek is the size of the document that comes next.
func (c *cursor) peek() int {
	if c.backwards {
		last := c.left[len(c.left)-1]
		return last.segment.size(last.to - 1)
	}
	return c.left[0].segment.size(c.left[0].from)
}

// batch is an answer that is put together of bytes of its own and of bytes that stand elsewhere.
type batch struct {
	head    []byte
	parts   net.Buffers
	scratch []byte
	done    int // how much of scratch stands in parts
	size    int
}

func (b *batch) refer(data []byte) {
	b.settle()
	b.parts = append(b.parts, data)
	b.size += len(data)
}

// settle puts into parts what was written to scratch; should scratch move as it grows, its old bytes stay where they are.
func (b *batch) settle() {
	if b.done < len(b.scratch) {
		b.parts = append(b.parts, b.scratch[b.done:])
		b.size += len(b.scratch) - b.done
		b.done = len(b.scratch)
	}
}

func (b *batch) reset() {
	b.parts, b.scratch, b.done, b.size = b.parts[:0], b.scratch[:0], 0, 0
}

// fill puts the answer together: the next documents of a cursor, at most so many and at most 16 MiB of them, but one at least.
// It says whether the cursor is at its end, as it also is where it is the last batch that is wanted.
func (b *batch) fill(to *request, name string, from *cursor, most int, last bool) bool {
	b.reset()
	b.head = answerHead(to)
	start := len(b.head)
	b.head = append(append(b.head, 0, 0, 0, 0), "\x03cursor\x00"...)
	inner := len(b.head)
	b.head = append(append(append(b.head, 0, 0, 0, 0, kindArray), name...), 0)
	array := len(b.head)
	b.head = append(b.head, 0, 0, 0, 0)

	size := b.documents(from, most)
	ended := last || len(from.left) == 0
	b.tail(from, ended)
	total := len(b.head) + b.size
	put := func(place, length int) { binary.LittleEndian.PutUint32(b.head[place:], uint32(length)) }
	put(0, total)
	put(start, total-start)
	put(inner, total-inner-okSize)
	put(array, 4+size+1)
	return ended
}

// documents adds elements of the array, and says how many bytes they are.
func (b *batch) documents(from *cursor, most int) int {
	size := 0
	for index := 0; index < most && len(from.left) > 0; index++ {
		if index > 0 && size+from.peek() > largestBatch {
			break
		}
		taken, position := from.next()
		before := len(b.scratch)
		b.scratch = append(strconv.AppendInt(append(b.scratch, kindDocument), int64(index), 10), 0)
		b.scratch = taken.appendHead(b.scratch, position)
		rest := taken.pool.rest(position)
		size += len(b.scratch) - before + len(rest)
		if len(rest) < smallestReferred {
			b.scratch = append(b.scratch, rest...)
		} else {
			b.refer(rest)
		}
	}
	return size
}

// okSize is the size of what follows the cursor: the element `ok` and the document's end.
const okSize = 1 + 3 + 8 + 1

func (b *batch) tail(from *cursor, ended bool) {
	id := from.id
	if ended {
		id = 0
	}
	fields := newBuilder().int64("id", id).string("ns", from.namespace).finish()
	b.scratch = append(b.scratch, 0) // the array's end
	b.scratch = append(b.scratch, fields[4:]...)
	b.scratch = append(b.scratch, newBuilder().double("ok", 1).finish()[4:]...)
	b.settle()
}

// send sends all parts with as few calls of the kernel as it allows.
func (b *batch) send(connection net.Conn) error {
	all := make(net.Buffers, 0, len(b.parts)+1)
	all = append(append(all, b.head), b.parts...)
	_, err := all.WriteTo(connection)
	return err
}
