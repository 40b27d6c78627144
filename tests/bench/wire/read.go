// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"math/rand/v2"
	"strings"
)

// collection is the canned one of a name, nil where there is none.
func (s *server) collection(database, name string) *canned {
	if database == s.database {
		for _, one := range s.canned {
			if one.name == name {
				return one
			}
		}
	}
	return nil
}

// documents are those of a collection, none where there is no such one. The sink keeps none, and says so.
func (s *server) documents(database, name string) (selection, error) {
	if found := s.collection(database, name); found != nil {
		return found.all(), nil
	}
	if count, _, there := s.sink.size(database, name); there && count > 0 {
		return nil, refuse(codeIllegalOperation, "%s.%s is the sink's, which keeps the number and the digest of documents alone.", database, name)
	}
	return nil, nil
}

// read answers `find`, `getMore` and `aggregate`, whose documents may be many.
func (s *session) read(command string, came *request) error {
	if command == "getMore" {
		return s.more(came)
	}
	var opened *cursor
	var err error
	settings := came.command
	if command == "find" {
		opened, err = s.find(came.database(), came.command)
	} else {
		var small []document
		small, opened, err = s.aggregate(came.database(), came.command)
		if err == nil && opened == nil {
			return write(s.connection, came, firstBatch(came.database()+"."+came.command.lookup("aggregate").text(), small))
		}
		settings = came.command.lookup("cursor").document()
	}
	if err != nil {
		return err
	}
	most := firstBatchDocuments
	if size := settings.lookup("batchSize"); size.isNumber() {
		most = int(size.integer())
	}
	opened.id = 1 + rand.Int64N(1<<62)
	return s.advance(came, "firstBatch", opened, most, came.command.lookup("singleBatch").truth() || limit(came.command) < 0)
}

func (s *session) more(came *request) error {
	found := s.take(came.command.lookup("getMore").integer())
	if found == nil {
		return refuse(codeCursorNotFound, "cursor id %d not found", came.command.lookup("getMore").integer())
	}
	most := noLimit
	if size := came.command.lookup("batchSize"); size.isNumber() && size.integer() > 0 {
		most = int(size.integer())
	}
	return s.advance(came, "nextBatch", found, most, false)
}

func (s *session) advance(came *request, name string, one *cursor, most int, last bool) error {
	if !s.batch.fill(came, name, one, most, last) {
		// Before the answer, since the next question may come as soon as it is there.
		s.keep(one)
	}
	return s.batch.send(s.connection)
}

func limit(command document) int64 { return command.lookup("limit").integer() }

func (s *session) find(database string, command document) (*cursor, error) {
	name := command.lookup("find").text()
	found, err := s.documents(database, name)
	if err != nil {
		return nil, err
	}
	if command.lookup("projection").isDocument() && len(command.lookup("projection").document()) > 5 {
		return nil, refuse(codeBadValue, "The wire server gives whole documents alone: leave out the projection.")
	}
	if found, err = found.filtered(command.lookup("filter").document()); err != nil {
		return nil, err
	}
	found = found.between(command.lookup("min").document().lookup("_id"), command.lookup("max").document().lookup("_id"))
	backwards, err := order(command)
	if err != nil {
		return nil, err
	}
	if skipped, most := int(command.lookup("skip").integer()), limit(command); skipped != 0 || most != 0 {
		if backwards {
			return nil, refuse(codeBadValue, "The wire server takes skip and limit in rising order alone.")
		}
		found = found.skip(skipped)
		if most != 0 {
			found = found.first(int(max(most, -most)))
		}
	}
	return &cursor{namespace: database + "." + name, left: found, backwards: backwards}, nil
}

// order says whether documents are wanted from the last to the first. The natural order is the one of `_id`, and there is no other index.
func order(command document) (bool, error) {
	backwards := false
	for _, name := range []string{"hint", "sort"} {
		given := command.lookup(name)
		if given.kind == 0 || given.kind == kindString && given.text() == "_id_" {
			continue
		}
		keys, err := given.document().fields()
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if key.key != "_id" && key.key != "$natural" || len(keys) > 1 || key.integer() != 1 && key.integer() != -1 {
				return false, refuse(codeBadValue, "The wire server knows _id and $natural alone for a %s.", name)
			}
			if name == "sort" || key.key == "$natural" {
				backwards = key.integer() < 0
			}
		}
	}
	return backwards, nil
}

// aggregate does the few pipelines that count, sample and tell of a collection: their documents, or a cursor for a plain read.
func (s *session) aggregate(database string, command document) ([]document, *cursor, error) {
	name := command.lookup("aggregate").text()
	stages, err := command.lookup("pipeline").document().fields()
	if err != nil {
		return nil, nil, err
	}
	found, err := s.documents(database, name)
	if err != nil {
		return nil, nil, err
	}
	var shape []string
	arguments := map[string]value{}
	for _, one := range stages {
		stage, err := one.document().fields()
		if err != nil || len(stage) != 1 {
			return nil, nil, refuse(codeBadValue, "A stage of a pipeline has one name.")
		}
		if stage[0].key == "$match" && len(shape) == 0 {
			if found, err = found.filtered(stage[0].document()); err != nil {
				return nil, nil, err
			}
			continue
		}
		shape = append(shape, stage[0].key)
		arguments[stage[0].key] = stage[0].value
	}
	switch strings.Join(shape, " ") {
	case "":
		return nil, &cursor{namespace: database + "." + name, left: found}, nil
	case "$count":
		return counted(found, newBuilder(), arguments["$count"].text()), nil, nil
	case "$group":
		return grouped(found, arguments["$group"].document())
	case "$sample $project $sort":
		return sampled(found, int(arguments["$sample"].document().lookup("size").integer())), nil, nil
	case "$collStats":
		return s.latency(database, name)
	}
	return nil, nil, refuse(codeBadValue, "The wire server knows no pipeline %v.", shape)
}

func counted(found selection, answer *builder, name string) []document {
	if len(found) == 0 {
		return nil
	}
	return []document{answer.int32(name, found.count()).finish()}
}

// grouped counts: a group of all documents with one sum of ones.
func grouped(found selection, group document) ([]document, *cursor, error) {
	fields, err := group.fields()
	if err != nil || len(fields) != 2 || fields[0].key != "_id" || fields[0].kind == kindString || fields[1].document().lookup("$sum").integer() != 1 {
		return nil, nil, refuse(codeBadValue, "The wire server counts all documents alone: {_id: null, n: {$sum: 1}}.")
	}
	return counted(found, newBuilder().put("_id", fields[0].value), fields[1].key), nil, nil
}

// sampled are values of `_id` at even distances, in order.
func sampled(found selection, wanted int) []document {
	total := found.count()
	wanted = min(wanted, total)
	var samples []document
	for index := range wanted {
		one := found.skip(index * total / wanted)[0]
		samples = append(samples, newBuilder().put("_id", one.segment.id(one.from)).finish())
	}
	return samples
}

// latency tells how many writes a collection had: the insert of a document is one.
func (s *server) latency(database, name string) ([]document, *cursor, error) {
	writes, _, there := s.sink.size(database, name)
	if !there && s.collection(database, name) == nil {
		return nil, nil, refuse(codeNotFound, "Collection [%s.%s] not found.", database, name)
	}
	operations := newBuilder().int64("latency", 0).int64("ops", writes).finish()
	latency := newBuilder().document("writes", operations).finish()
	return []document{newBuilder().string("ns", database+"."+name).document("latencyStats", latency).finish()}, nil, nil
}
