// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
)

const mostWrites = 100_000

// sink takes documents, acknowledges them, and keeps of each collection the number, the size and the digest of what came.
type sink struct {
	lock        sync.Mutex
	collections map[string]*sunk // by database and name
}

type sunk struct {
	options document
	indexes []document
	uuid    []byte
	digest  digest
}

func newSink() *sink { return &sink{collections: map[string]*sunk{}} }

func newSunk(options document) *sunk {
	uuid := make([]byte, 16)
	_, _ = rand.Read(uuid) // never fails
	return &sunk{options: slices.Clone(options), indexes: []document{idIndex()}, uuid: uuid}
}

var sinkCommands = []string{"create", "createIndexes", "drop", "dropDatabase", "insert", "renameCollection"}

func (s *sink) knows(command string) bool { return slices.Contains(sinkCommands, command) }

// answer does a command that writes.
func (s *sink) answer(command field, came *request) (document, error) {
	database, name := came.database(), command.value.text()
	if s.knows(command.key) && command.key != "dropDatabase" && name == "" {
		return nil, refuse(codeInvalidNamespace, "Invalid namespace specified %q", database+".")
	}
	switch command.key {
	case "insert":
		return s.insert(database+"."+name, came)
	case "create":
		return s.create(database+"."+name, came.command)
	case "createIndexes":
		return s.createIndexes(database+"."+name, came)
	case "drop":
		return s.drop(database + "." + name)
	case "dropDatabase":
		return s.dropDatabase(database), nil
	case "renameCollection":
		return s.rename(name, came.command.lookup("to").text(), came.command.lookup("dropTarget").truth())
	}
	return nil, refuse(codeCommandNotFound, "no such command: '%s'", command.key)
}

func (s *sink) insert(namespace string, came *request) (document, error) {
	documents, err := came.documents("documents")
	if err != nil {
		return nil, err
	}
	if len(documents) == 0 || len(documents) > mostWrites {
		return nil, refuse(codeBadValue, "Write batch sizes must be between 1 and %d. Got %d operations.", mostWrites, len(documents))
	}
	var sum digest
	for _, one := range documents {
		if len(one) > largestDocument {
			return nil, refuse(codeTooLarge, "object to insert too large. size in bytes: %d", len(one))
		}
		sum.add(one)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.ensure(namespace).digest.merge(&sum)
	return newBuilder().int32("n", len(documents)).double("ok", 1).finish(), nil
}

// ensure is the collection of a name, made where it is missing; the caller holds the lock.
func (s *sink) ensure(namespace string) *sunk {
	found := s.collections[namespace]
	if found == nil {
		found = newSunk(newBuilder().finish())
		s.collections[namespace] = found
	}
	return found
}

// notOptions are the fields of `create` that do not belong to the collection.
var notOptions = []string{"create", "lsid", "writeConcern", "comment", "apiVersion", "idIndex", "maxTimeMS"}

func (s *sink) create(namespace string, command document) (document, error) {
	fields, err := command.fields()
	if err != nil {
		return nil, err
	}
	options := newBuilder()
	for _, one := range fields {
		if !slices.Contains(notOptions, one.key) && !strings.HasPrefix(one.key, "$") {
			options.put(one.key, one.value)
		}
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.collections[namespace] != nil {
		return nil, refuse(codeNamespaceExists, "Collection %s already exists.", namespace)
	}
	s.collections[namespace] = newSunk(options.finish())
	return ok(), nil
}

func (s *sink) createIndexes(namespace string, came *request) (document, error) {
	wanted, err := came.documents("indexes")
	if err != nil {
		return nil, err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	created := s.collections[namespace] == nil
	found := s.ensure(namespace)
	before := len(found.indexes)
	for _, one := range wanted {
		same := func(known document) bool { return known.lookup("name").text() == one.lookup("name").text() }
		if !slices.ContainsFunc(found.indexes, same) {
			found.indexes = append(found.indexes, versioned(one))
		}
	}
	return newBuilder().int32("numIndexesBefore", before).int32("numIndexesAfter", len(found.indexes)).
		bool("createdCollectionAutomatically", created).double("ok", 1).finish(), nil
}

// versioned is an index as MongoDB lists it: its version first, 2 where none was given.
func versioned(index document) document {
	if index.lookup("v").kind != 0 {
		return slices.Clone(index)
	}
	listed := newBuilder().int32("v", 2)
	listed.data = append(listed.data, index[4:len(index)-1]...)
	return listed.finish()
}

func (s *sink) drop(namespace string) (document, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found := s.collections[namespace]
	if found == nil {
		return nil, refuse(codeNotFound, "ns not found")
	}
	delete(s.collections, namespace)
	return newBuilder().int32("nIndexesWas", len(found.indexes)).string("ns", namespace).double("ok", 1).finish(), nil
}

func (s *sink) dropDatabase(database string) document {
	s.lock.Lock()
	defer s.lock.Unlock()
	maps.DeleteFunc(s.collections, func(namespace string, _ *sunk) bool { return strings.HasPrefix(namespace, database+".") })
	return ok()
}

func (s *sink) rename(from, to string, dropTarget bool) (document, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found := s.collections[from]
	switch {
	case found == nil:
		return nil, refuse(codeNotFound, "Source collection %s does not exist", from)
	case !strings.Contains(to, "."):
		return nil, refuse(codeInvalidNamespace, "Invalid namespace specified %q", to)
	case s.collections[to] != nil && !dropTarget:
		return nil, refuse(codeNamespaceExists, "target namespace exists")
	}
	delete(s.collections, from)
	s.collections[to] = found
	return ok(), nil
}

// size tells the number of documents of a collection, their bytes, and whether it is there.
func (s *sink) size(database, name string) (int64, int64, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found := s.collections[database+"."+name]
	if found == nil {
		return 0, 0, false
	}
	return found.digest.count, found.digest.bytes, true
}

func (s *sink) indexes(database, name string) ([]document, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found := s.collections[database+"."+name]
	if found == nil {
		return nil, false
	}
	return slices.Clone(found.indexes), true
}

// listings are those of a database's collections, or of the one of a name.
func (s *sink) listings(database, wanted string) []document {
	s.lock.Lock()
	defer s.lock.Unlock()
	var found []document
	for _, namespace := range sortedKeys(s.collections) {
		name, inside := strings.CutPrefix(namespace, database+".")
		if inside && (wanted == "" || wanted == name) {
			one := s.collections[namespace]
			found = append(found, listing(name, one.options, one.uuid))
		}
	}
	return found
}

// databases tells the bytes of each database.
func (s *sink) databases() map[string]int64 {
	s.lock.Lock()
	defer s.lock.Unlock()
	sizes := map[string]int64{}
	for namespace, one := range s.collections {
		database, _, _ := strings.Cut(namespace, ".")
		sizes[database] += one.digest.bytes
	}
	return sizes
}

func (s *sink) digests() map[string]digest {
	s.lock.Lock()
	defer s.lock.Unlock()
	sums := map[string]digest{}
	for namespace, one := range s.collections {
		sums[namespace] = one.digest
	}
	return sums
}

func sortedKeys[K cmp.Ordered, V any](from map[K]V) []K { return slices.Sorted(maps.Keys(from)) }
