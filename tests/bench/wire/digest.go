// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"runtime"
	"sync"
)

// digest is the sum modulo 2**256 of the SHA-256 of documents, which tells two sets of them apart whatever their order.
type digest struct {
	words [4]uint64 // the least first
	count int64
	bytes int64
}

func (d *digest) add(document []byte) {
	hash := sha256.Sum256(document)
	var one digest
	for index := range one.words {
		one.words[index] = binary.BigEndian.Uint64(hash[24-8*index:])
	}
	one.count, one.bytes = 1, int64(len(document))
	d.merge(&one)
}

func (d *digest) merge(other *digest) {
	carry := uint64(0)
	for index := range d.words {
		d.words[index], carry = bits.Add64(d.words[index], other.words[index], carry)
	}
	d.count += other.count
	d.bytes += other.bytes
}

func (d *digest) hex() string {
	var sum [32]byte
	for index, word := range d.words {
		binary.BigEndian.PutUint64(sum[24-8*index:], word)
	}
	return hex.EncodeToString(sum[:])
}

// digestOnce is the digest of a canned collection, worked out when it is first asked for.
type digestOnce struct {
	once sync.Once
	sum  digest
}

func (c *canned) digest() digest {
	c.digested.once.Do(func() { c.digested.sum = digestOf(c.all()) })
	return c.digested.sum
}

func digestOf(documents selection) digest {
	const step = 4096
	var total digest
	var lock sync.Mutex
	var group sync.WaitGroup
	work := make(chan span)
	for range runtime.GOMAXPROCS(0) {
		group.Add(1)
		go func() {
			defer group.Done()
			var part digest
			var buffer []byte
			for run := range work {
				for index := run.from; index < run.to; index++ {
					buffer = append(run.segment.appendHead(buffer[:0], index), run.segment.pool.rest(index)...)
					part.add(buffer)
				}
			}
			lock.Lock()
			defer lock.Unlock()
			total.merge(&part)
		}()
	}
	for _, one := range documents {
		for from := one.from; from < one.to; from += step {
			work <- span{one.segment, from, min(from+step, one.to)}
		}
	}
	close(work)
	group.Wait()
	return total
}
