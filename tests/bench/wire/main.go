// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Wire serves canned documents by MongoDB's wire protocol, at little cost, and takes documents of which it keeps the digest alone: what
// a client costs is seen beside it, which a slow database would hide.
//
// It prints JSON, one object a line: where it listens and what it serves, and, when it is ended, what it was given.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:0", "where to listen; port 0 is any that is free")
	size := flag.String("bytes", "2G", "how much to serve: a number with K, M or G (of 1000)")
	seed := flag.Uint64("seed", 1, "what the documents are made of")
	largest := flag.String("largest", "4M", "the longest documents, at most 16M")
	database := flag.String("database", "canned", "the name of the database that is served")
	flag.Parse()
	if err := run(*listen, *size, *largest, *database, *seed); err != nil {
		log.Fatalf("wire: %v", err)
	}
}

func run(listen, size, largest, database string, seed uint64) error {
	total, err := parseSize(size)
	if err != nil {
		return err
	}
	most, err := parseSize(largest)
	if err != nil {
		return err
	}
	if most > 16_000_000 || most < 1000 {
		return fmt.Errorf("the longest documents cannot have %d bytes: give 1K to 16M", most)
	}
	one := newServer(database, cannedCollections(total, seed, int(most)))
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if err := announce(one, listener.Addr().String()); err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-ended
		listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return tell(map[string]any{"sunk": one.sunk()})
		}
		if err != nil {
			return err
		}
		go one.serve(connection)
	}
}

// announce tells where the server listens and what it serves.
func announce(one *server, address string) error {
	var collections []description
	for _, canned := range one.canned {
		described, err := describe(canned)
		if err != nil {
			return err
		}
		collections = append(collections, described)
	}
	return tell(map[string]any{"listening": address, "database": one.database, "collections": collections})
}

func tell(what any) error { return json.NewEncoder(os.Stdout).Encode(what) }

// sunk is what was written, by collection.
func (s *server) sunk() map[string]any {
	told := map[string]any{}
	for name, sum := range s.sink.digests() {
		told[name] = map[string]any{"count": sum.count, "bytes": sum.bytes, "digest": sum.hex()}
	}
	return told
}

// parseSize reads a number of bytes such as 2G.
func parseSize(text string) (int64, error) {
	units := map[string]int64{"K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
	factor := int64(1)
	digits := text
	if text != "" && units[text[len(text)-1:]] != 0 {
		factor, digits = units[text[len(text)-1:]], text[:len(text)-1]
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || number <= 0 || number*float64(factor) > 1<<50 {
		return 0, fmt.Errorf("%q is no size: give a number with K, M or G", text)
	}
	return int64(number * float64(factor)), nil
}
