// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// server is what all connections share: what is read, what was written, and the reads that are under way.
type server struct {
	database string // holds the canned collections; all others are the sink's
	canned   []*canned
	sink     *sink

	connections atomic.Int32
	lock        sync.Mutex
	cursors     map[int64]*cursor
}

func newServer(database string, collections []*canned) *server {
	return &server{database: database, canned: collections, sink: newSink(), cursors: map[int64]*cursor{}}
}

// session is one connection.
type session struct {
	*server
	connection net.Conn
	number     int32
	batch      batch
}

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	one := &session{server: s, connection: connection, number: s.connections.Add(1)}
	incoming := &reader{connection: connection}
	for {
		came, err := incoming.next()
		if err == nil {
			err = one.handle(came)
		}
		if err != nil {
			if errors.Is(err, errBroken) {
				log.Printf("connection %d: %v", one.number, err)
			}
			return
		}
	}
}

// handle does what is asked and answers; its error is one of the connection.
func (s *session) handle(came *request) error {
	named, err := came.command.fields()
	if err != nil || len(named) == 0 {
		return errBroken
	}
	switch named[0].key {
	case "find", "getMore", "aggregate":
		err = s.read(named[0].key, came)
	default:
		var answer document
		if answer, err = s.answer(named[0], came); err == nil && !came.silent {
			return write(s.connection, came, answer)
		}
	}
	var refused *refusal
	if errors.As(err, &refused) {
		if came.silent {
			return nil
		}
		return write(s.connection, came, refused.document())
	}
	return err
}

// answer does a command whose answer is one small document.
func (s *session) answer(command field, came *request) (document, error) {
	name, database := command.value.text(), came.database()
	switch command.key {
	case "hello", "isMaster", "ismaster":
		return s.hello(), nil
	case "ping", "endSessions", "refreshSessions":
		return ok(), nil
	case "buildInfo", "buildinfo":
		return buildInfo(), nil
	case "listDatabases":
		return s.listDatabases(), nil
	case "listCollections":
		return s.listCollections(database, came.command)
	case "listIndexes":
		return s.listIndexes(database, name)
	case "count":
		return s.count(database, name, came.command)
	case "collStats":
		return s.statistics(database, name)
	case "killCursors":
		return s.killCursors(came.command)
	case "wireDigest":
		return s.wireDigest(), nil
	}
	if database == s.database && s.sink.knows(command.key) {
		return nil, refuse(codeIllegalOperation, "Database %s is canned: write to another one.", database)
	}
	return s.sink.answer(command, came)
}

func ok() document { return newBuilder().double("ok", 1).finish() }

// hello tells what a single MongoDB 7.0 tells, which is no replica set and has no compression.
func (s *session) hello() document {
	return newBuilder().bool("helloOk", true).bool("ismaster", true).bool("isWritablePrimary", true).
		int32("maxBsonObjectSize", largestDocument).int32("maxMessageSizeBytes", largestInput).int32("maxWriteBatchSize", mostWrites).
		date("localTime", time.Now().UnixMilli()).int32("logicalSessionTimeoutMinutes", 30).int32("connectionId", int(s.number)).
		int32("minWireVersion", 0).int32("maxWireVersion", 21).bool("readOnly", false).double("ok", 1).finish()
}

func buildInfo() document {
	parts := []value{}
	for _, part := range []int32{7, 0, 5, 0} {
		parts = append(parts, value{kindInt32, []byte{byte(part), 0, 0, 0}})
	}
	return newBuilder().string("version", "7.0.5").array("versionArray", parts).string("make", "wire server of canned documents").
		int32("bits", 64).bool("debug", false).int32("maxBsonObjectSize", largestDocument).double("ok", 1).finish()
}

// take gives a cursor to whoever reads on with it; nobody else has it until it is kept again.
func (s *server) take(id int64) *cursor {
	s.lock.Lock()
	defer s.lock.Unlock()
	found := s.cursors[id]
	delete(s.cursors, id)
	return found
}

// keep holds a cursor until somebody reads on.
func (s *server) keep(one *cursor) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.cursors[one.id] = one
}

func (s *server) killCursors(command document) (document, error) {
	wanted, err := command.lookup("cursors").document().fields()
	if err != nil {
		return nil, err
	}
	killed, unknown := []value{}, []value{}
	for _, one := range wanted {
		if s.take(one.integer()) != nil {
			killed = append(killed, one.value)
		} else {
			unknown = append(unknown, one.value)
		}
	}
	return newBuilder().array("cursorsKilled", killed).array("cursorsNotFound", unknown).
		array("cursorsAlive", nil).array("cursorsUnknown", nil).double("ok", 1).finish(), nil
}
