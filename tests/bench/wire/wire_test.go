// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
)

// small are collections that take little time to make.
var small = sync.OnceValue(func() []*canned { return cannedCollections(2_000_000, 7, 200_000) })

func named(t *testing.T, name string) *canned {
	t.Helper()
	for _, one := range small() {
		if one.name == name {
			return one
		}
	}
	t.Fatalf("there is no collection %s", name)
	return nil
}

func whole(run span, index int) document {
	return append(run.segment.appendHead(nil, index), run.segment.pool.rest(index)...)
}

func TestEveryDocumentIsWholeAndItsIdentityGrows(t *testing.T) {
	for _, one := range small() {
		var before value
		count, size := 0, int64(0)
		for _, run := range one.all() {
			for index := run.from; index < run.to; index++ {
				document, rest, err := wholeDocument(whole(run, index))
				if err != nil || len(rest) > 0 {
					t.Fatalf("%s: document %d is broken", one.name, index)
				}
				id := document.lookup("_id")
				if before.kind != 0 && compare(before, id) >= 0 {
					t.Fatalf("%s: _id of document %d is not above the one before", one.name, index)
				}
				before, count, size = id, count+1, size+int64(len(document))
			}
		}
		if count != one.count() || size != one.bytes() {
			t.Errorf("%s: %d documents of %d bytes, told were %d of %d", one.name, count, size, one.count(), one.bytes())
		}
	}
}

func TestTheCounterOfAnObjectIDBeginsAnewInOrder(t *testing.T) {
	run := &segment{kind: kindObjectID}
	for _, index := range []int{1<<24 - 1, 1 << 24, 1<<25 - 1} {
		if compare(run.id(index), run.id(index+1)) >= 0 {
			t.Errorf("_id %d is not below the next", index)
		}
	}
}

func TestTheSameSeedMakesTheSameDocuments(t *testing.T) {
	again := cannedCollections(2_000_000, 7, 200_000)
	for index, one := range small() {
		if one.hex() != again[index].hex() {
			t.Errorf("%s differs", one.name)
		}
	}
	if cannedCollections(2_000_000, 8, 200_000)[0].hex() == small()[0].hex() {
		t.Error("another seed makes the same documents")
	}
}

func (c *canned) hex() string { sum := c.digest(); return sum.hex() }

func TestTheDigestIsTheSumOfHashes(t *testing.T) {
	one := named(t, "mixed")
	sum := new(big.Int)
	for _, run := range one.all() {
		for index := run.from; index < run.to; index++ {
			hash := sha256.Sum256(whole(run, index))
			sum.Add(sum, new(big.Int).SetBytes(hash[:]))
		}
	}
	sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 256))
	if expected := sum.Text(16); !bytes.HasSuffix([]byte(one.hex()), []byte(expected)) {
		t.Errorf("digest %s, expected %s", one.hex(), expected)
	}
}

func TestRangesWithinAndBesideATypeFindEachDocumentOnce(t *testing.T) {
	one := named(t, "mixed")
	edge := one.segments[1].id(one.segments[1].count / 3)
	typed := func(operator string, bound value) document {
		inner := newBuilder().put("$type", stringValue("string")).put(operator, bound).finish()
		return newBuilder().document("_id", inner).finish()
	}
	others := newBuilder().document("_id", newBuilder().document("$not", newBuilder().string("$type", "string").finish()).finish()).finish()
	total := 0
	for _, query := range []document{typed("$lt", edge), typed("$gte", edge), others} {
		found, err := one.all().filtered(query)
		if err != nil || len(found) == 0 {
			t.Fatalf("%x: %v, %v", query, found, err)
		}
		total += found.count()
	}
	if total != one.count() {
		t.Errorf("%d documents in the ranges, %d in all", total, one.count())
	}
}

func TestAComparisonFindsItsOwnKindAlone(t *testing.T) {
	one := named(t, "mixed")
	least := func(bound value) int {
		found, err := one.all().filtered(newBuilder().document("_id", newBuilder().put("$gte", bound).finish()).finish())
		if err != nil {
			t.Fatal(err)
		}
		return found.count()
	}
	double := newBuilder().double("", 1.5).finish()
	for name, pair := range map[string][2]int{
		"double beside long": {least(value{kindDouble, double[6:14]}), one.segments[0].count - 1},
		"empty string":       {least(stringValue("")), one.segments[1].count},
		"date":               {least(value{kindDate, make([]byte, 8)}), 0},
		"lowest of all":      {least(value{kindMinKey, nil}), one.count()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %d found, expected %d", name, pair[0], pair[1])
		}
	}
}

func TestWhatTheServerDoesNotKnowIsRefused(t *testing.T) {
	one := named(t, "mixed")
	for name, query := range map[string]document{
		"another field": newBuilder().int32("city", 1).finish(),
		"operator":      newBuilder().document("_id", newBuilder().int32("$mod", 1).finish()).finish(),
		"type":          newBuilder().document("_id", newBuilder().string("$type", "nonsense").finish()).finish(),
		"not":           newBuilder().document("_id", newBuilder().document("$not", newBuilder().int32("$gt", 1).finish()).finish()).finish(),
	} {
		if _, err := one.all().filtered(query); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// ask sends one command through a pipe and returns the answer.
func ask(t *testing.T, client net.Conn, command document) document {
	t.Helper()
	message := append([]byte{0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0, 0, 0, 0, 0, 0}, command...)
	binary.LittleEndian.PutUint32(message, uint32(len(message)))
	if _, err := client.Write(message); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(client, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, binary.LittleEndian.Uint32(head)-4)
	if _, err := io.ReadFull(client, rest); err != nil {
		t.Fatal(err)
	}
	answer, left, err := wholeDocument(rest[17:])
	if err != nil || len(left) > 0 {
		t.Fatalf("the answer to %x is no document", command)
	}
	return answer
}

func TestAReadGivesEveryDocumentInAnswersThatAreNotTooLong(t *testing.T) {
	long := newBuilder().binary("content", 0, make([]byte, 7*mebibyte)).finish()
	made := &pool{}
	made.add(long[4:])
	made.add(newBuilder().finish()[4:])
	one := &canned{name: "long", segments: []*segment{{kindInt64, 9, made}}}
	client, other := net.Pipe()
	defer client.Close()
	go newServer("canned", []*canned{one}).serve(other)
	answer := ask(t, client, newBuilder().string("find", one.name).int32("batchSize", 0).string("$db", "canned").finish())
	cursor, read, answers := answer.lookup("cursor").document(), digest{}, 0
	for id := cursor.lookup("id"); id.integer() != 0; id = cursor.lookup("id") {
		answer = ask(t, client, newBuilder().put("getMore", id).string("collection", one.name).string("$db", "canned").finish())
		if len(answer) > largestDocument+16*kibibyte {
			t.Fatalf("an answer has %d bytes", len(answer))
		}
		cursor = answer.lookup("cursor").document()
		batch, err := cursor.lookup("nextBatch").document().fields()
		if err != nil {
			t.Fatal(err)
		}
		answers++
		for _, element := range batch {
			read.add(element.document())
		}
	}
	if answers < 3 {
		t.Errorf("35 MiB came in %d answers", answers)
	}
	if read.hex() != one.hex() {
		t.Errorf("%d documents read, %d there", read.count, one.count())
	}
}

func TestBrokenBSONIsNoDocument(t *testing.T) {
	good := newBuilder().string("a", "b").put("r", value{kindRegex, []byte("x\x00i\x00")}).int32("n", 1).finish()
	if fields, err := good.fields(); err != nil || len(fields) != 3 {
		t.Fatalf("%v, %v", fields, err)
	}
	for end := range len(good) {
		if _, _, err := wholeDocument(good[:end]); err == nil {
			t.Errorf("%d bytes of %d are taken", end, len(good))
		}
	}
	for index := 4; index < len(good)-1; index++ {
		bent := slices.Clone(good)
		bent[index] ^= 0xff
		_, _ = bent.fields() // may be another document, but never a panic
	}
}
