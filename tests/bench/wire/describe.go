// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
)

// description tells what a canned collection is like.
type description struct {
	Name      string         `json:"name"`
	Documents int            `json:"documents"`
	Bytes     int64          `json:"bytes"`
	Different int            `json:"different_documents"`
	Sizes     map[string]int `json:"sizes"`
	Kinds     map[string]int `json:"types"`
	Identity  []string       `json:"id_types"`
	GzipRatio float64        `json:"gzip_ratio"`
}

// How much of a collection is packed to see how well it packs.
const sampleBytes = 4 * mebibyte

func describe(one *canned) (description, error) {
	found := description{Name: one.name, Documents: one.count(), Bytes: one.bytes(), Identity: []string{}, Kinds: map[string]int{}, Sizes: map[string]int{}}
	var sizes []int
	var sample []byte
	for number, part := range one.segments {
		found.Identity = append(found.Identity, kindName(part.kind))
		if number > 0 {
			continue // its pool is the first one's
		}
		found.Different = min(part.count, len(part.pool.ends))
		for index := range found.Different {
			whole := append(part.appendHead(nil, index), part.pool.rest(index)...)
			sizes = append(sizes, len(whole))
			if err := countKinds(document(whole), found.Kinds); err != nil {
				return found, fmt.Errorf("%s: %w", one.name, err)
			}
			if len(sample) < sampleBytes {
				sample = append(sample, whole...)
			}
		}
	}
	if len(sizes) == 0 {
		return found, nil
	}
	slices.Sort(sizes)
	for name, part := range map[string]int{"least": 0, "p50": 50, "p90": 90, "p99": 99, "most": 100} {
		found.Sizes[name] = sizes[(len(sizes)-1)*part/100]
	}
	ratio, err := gzipRatio(sample)
	found.GzipRatio = ratio
	return found, err
}

// gzipRatio is how many times smaller gzip's usual level 6 makes bytes.
func gzipRatio(data []byte) (float64, error) {
	var packed bytes.Buffer
	packer, err := gzip.NewWriterLevel(&packed, 6)
	if err != nil {
		return 0, err
	}
	if _, err = packer.Write(data); err == nil {
		err = packer.Close()
	}
	return float64(len(data)) / float64(packed.Len()), err
}

// countKinds counts the types of all values of a document, also of those inside.
func countKinds(from document, kinds map[string]int) error {
	fields, err := from.fields()
	if err != nil {
		return err
	}
	for _, one := range fields {
		kinds[kindName(one.kind)]++
		if one.kind == kindDocument || one.kind == kindArray {
			if err := countKinds(one.document(), kinds); err != nil {
				return err
			}
		}
	}
	return nil
}

func kindName(kind byte) string {
	for name, kinds := range kindNames {
		if len(kinds) == 1 && kinds[0] == kind {
			return name
		}
	}
	return ""
}
