// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"math"
	"math/rand/v2"
	"strings"
)

// plan is what one canned collection shall be like.
type plan struct {
	name     string
	share    float64 // of all bytes
	kinds    []byte  // the types of its `_id`, in their order, with as many bytes each
	from, to int     // bytes of a document
	binary   float64 // which part of a document is bytes that cannot be packed
	pool     int     // bytes of different documents at most
}

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
)

// plans are the collections of a made-up small app: many short rows, fewer long documents, some files; beside them what is small.
func plans(largest int) []plan {
	return []plan{
		{"rows", 0.45, []byte{kindObjectID}, 250, 900, 0, 24 * mebibyte},
		{"events", 0.20, []byte{kindString}, 600, 4 * kibibyte, 0.05, 16 * mebibyte},
		{"slides", 0.20, []byte{kindObjectID}, 4 * kibibyte, 64 * kibibyte, 0.02, 16 * mebibyte},
		{"attachments", 0.10, []byte{kindInt64}, min(64*kibibyte, largest), largest, 0.5, 48 * mebibyte},
		{"mixed", 0.05, []byte{kindInt64, kindString, kindObjectID}, 300, 3 * kibibyte, 0.05, 8 * mebibyte},
	}
}

// cannedCollections makes documents of about so many bytes, always the same of the same seed.
func cannedCollections(total int64, seed uint64, largest int) []*canned {
	random := rand.New(rand.NewPCG(seed, seed))
	var found []*canned
	for _, one := range plans(largest) {
		wanted := int64(one.share * float64(total))
		made := makePool(random, one, int(min(int64(one.pool), max(wanted, 1))))
		collection := emptyCollection(random, one.name)
		for _, kind := range one.kinds {
			average := int64(headSize(kind)) + int64(len(made.arena)/len(made.ends))
			count := max(1, int(wanted/int64(len(one.kinds))/average))
			collection.segments = append(collection.segments, &segment{kind, count, made})
		}
		found = append(found, collection)
	}
	settings := emptyCollection(random, "settings")
	settings.segments = []*segment{{kindString, 12, makePool(random, plan{from: 100, to: 2 * kibibyte}, 16*kibibyte)}}
	return append(found, settings, emptyCollection(random, "nothing"))
}

func emptyCollection(random *rand.Rand, name string) *canned {
	uuid := randomBytes(random, 16)
	uuid[6], uuid[8] = uuid[6]&0x0f|0x40, uuid[8]&0x3f|0x80
	byCity := newBuilder().int32("city", 1).double("amount", -1).finish()
	city := newBuilder().int32("v", 2).document("key", byCity).string("name", "city_1_amount_-1").finish()
	return &canned{name: name, uuid: uuid, indexes: []document{idIndex(), city}}
}

func makePool(random *rand.Rand, like plan, size int) *pool {
	made := &pool{}
	for len(made.arena) < size || len(made.ends) == 0 {
		// As many of each order of magnitude.
		wanted := float64(like.from) * math.Pow(float64(like.to)/float64(like.from), random.Float64())
		// Behind the `_id` stand the fields; the length and the `_id` are each document's own.
		made.add(makeFields(random, int(wanted), like.binary)[4:])
	}
	return made
}

// makeFields makes a document of about so many bytes without an `_id`.
func makeFields(random *rand.Rand, size int, unpackable float64) document {
	built := newBuilder()
	if content := int(float64(size) * unpackable); content > 16 {
		built.binary("content", 0, randomBytes(random, content))
	}
	writeRow(random, built)
	for number := 0; len(built.data) < size; number++ {
		switch left := size - len(built.data); {
		case left > 16*kibibyte:
			built.string("text_"+letters(number), text(random, left/2))
		case left > 1500:
			rows := make([]document, 0, 8)
			for range 2 + random.IntN(6) {
				inner := newBuilder()
				writeRow(random, inner)
				rows = append(rows, inner.finish())
			}
			built.array("rows_"+letters(number), documentValues(rows))
		default:
			built.string("note_"+letters(number), text(random, min(left, 20+random.IntN(100))))
		}
	}
	return built.finish()
}

// writeRow writes fields as a table of a business has them: all types that are common, some that are rare.
func writeRow(random *rand.Rand, built *builder) {
	city := skewed(random, len(cities))
	built.string("city", cities[city]).string("product", pick(random, products))
	built.double("amount", math.Round(random.ExpFloat64()*100_000)/100).int32("quantity", random.IntN(500))
	built.date("sold", 1_640_995_200_000+random.Int64N(150_000_000)*1000).bool("paid", random.IntN(10) > 0)
	if random.IntN(3) == 0 {
		built.put("discount", value{kindNull, nil})
	} else {
		built.double("discount", float64(random.IntN(40))/100)
	}
	switch random.IntN(4) {
	case 0:
		built.int64("customer", random.Int64N(1<<40))
	case 1:
		built.put("customer", value{kindObjectID, randomBytes(random, 12)})
	case 2:
		built.binary("customer", 4, randomBytes(random, 16))
	default:
		// A decimal of two digits behind its point: 0x303C is the exponent -2 of https://en.wikipedia.org/wiki/Decimal128_floating-point_format.
		built.put("price", value{kindDecimal128, append(int64Value(random.Int64N(1_000_000)).data, 0, 0, 0, 0, 0, 0, 0x3c, 0x30)})
	}
	tags := []value{stringValue(pick(random, words)), stringValue(pick(random, words))}
	place := newBuilder().double("lat", 40+float64(city)*1.137).double("lon", float64(city)*2.719-4).finish()
	built.array("tags", tags).document("place", place)
}

func randomBytes(random *rand.Rand, count int) []byte {
	made := make([]byte, 0, count+8)
	for len(made) < count {
		made = append(made, int64Value(int64(random.Uint64())).data...)
	}
	return made[:count]
}

func text(random *rand.Rand, size int) string {
	var made strings.Builder
	for made.Len() < size {
		made.WriteString(pick(random, words))
		made.WriteByte(' ')
	}
	return made.String()
}

func letters(number int) string {
	return string([]byte{'a' + byte(number/26%26), 'a' + byte(number%26)})
}

func pick(random *rand.Rand, from []string) string { return from[skewed(random, len(from))] }

// skewed is a number below a limit, the small ones more often, as words and customers are.
func skewed(random *rand.Rand, below int) int {
	return int(float64(below) * math.Pow(random.Float64(), 2))
}

var (
	cities   = strings.Fields("Paris Lyon Marseille Toulouse Nice Nantes Lille Rennes Bordeaux Berlin Hamburg München Köln Wien Zürich Genève Bruxelles Madrid")
	products = strings.Fields("notebook printer desk chair lamp screen keyboard mouse tablet phone headset cable dock camera router projector whiteboard")
	words    = strings.Fields(`revenue forecast margin region quarter target actual budget variance growth churn customer segment pipeline
		inventory supplier delivery delay quality incident satisfaction score campaign conversion funnel traffic visit session page click the
		of and to in for with on by from at as is was are be this that which last next month year week day compared above below average
		total share index per capita employee store department category brand price volume rate ratio trend season holiday promotion
		éducation santé énergie marché équipe données qualité période objectif réalisé`)
)
