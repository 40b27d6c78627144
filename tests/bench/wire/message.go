// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	opReply         = 1
	opQuery         = 2004
	opMessage       = 2013
	headerSize      = 16
	largestInput    = 48_000_000
	largestDocument = 16 << 20

	flagChecksum   = 1 << 0
	flagMoreToCome = 1 << 1
)

// request is a command as it came: its bytes are valid until the next one is read.
type request struct {
	id        int32
	legacy    bool // it came as OP_QUERY, and so must the answer as OP_REPLY
	silent    bool // nobody waits for an answer
	command   document
	sequences map[string][]byte // documents that stand beside the command, one after the other
}

// database is the one that the command speaks of.
func (r *request) database() string { return r.command.lookup("$db").text() }

// documents are what the command carries under a name, beside itself or in an array.
func (r *request) documents(name string) ([]document, error) {
	if beside, there := r.sequences[name]; there {
		var found []document
		for len(beside) > 0 {
			one, rest, err := wholeDocument(beside)
			if err != nil {
				return nil, err
			}
			found, beside = append(found, one), rest
		}
		return found, nil
	}
	elements, err := r.command.lookup(name).document().fields()
	if err != nil {
		return nil, err
	}
	var found []document
	for _, element := range elements {
		found = append(found, element.document())
	}
	return found, nil
}

// reader takes requests off a connection, all in one buffer.
type reader struct {
	connection net.Conn
	buffer     []byte
}

func (r *reader) next() (*request, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r.connection, header[:]); err != nil {
		return nil, err
	}
	length, id := int(int32(binary.LittleEndian.Uint32(header[0:]))), int32(binary.LittleEndian.Uint32(header[4:]))
	if length < headerSize || length > largestInput {
		return nil, fmt.Errorf("a message of %d bytes is not taken", length)
	}
	length -= headerSize
	if cap(r.buffer) < length {
		r.buffer = make([]byte, length)
	}
	body := r.buffer[:length]
	if _, err := io.ReadFull(r.connection, body); err != nil {
		return nil, err
	}
	switch operation := binary.LittleEndian.Uint32(header[12:]); operation {
	case opMessage:
		return parseMessage(id, body)
	case opQuery:
		return parseQuery(id, body)
	default:
		return nil, fmt.Errorf("operation %d is not known", operation)
	}
}

func parseMessage(id int32, body []byte) (*request, error) {
	if len(body) < 4 {
		return nil, errBroken
	}
	flags := binary.LittleEndian.Uint32(body)
	found := &request{id: id, silent: flags&flagMoreToCome != 0, sequences: map[string][]byte{}}
	body = body[4:]
	if flags&flagChecksum != 0 && len(body) >= 4 {
		body = body[:len(body)-4]
	}
	for len(body) > 0 {
		kind := body[0]
		if kind == 0 {
			one, rest, err := wholeDocument(body[1:])
			if err != nil {
				return nil, err
			}
			found.command, body = one, rest
			continue
		}
		if kind != 1 || len(body) < 6 {
			return nil, errBroken
		}
		size := int(int32(binary.LittleEndian.Uint32(body[1:])))
		if size < 5 || size > len(body)-1 {
			return nil, errBroken
		}
		section := body[5 : 1+size]
		name, rest, ended := cutText(section)
		if !ended {
			return nil, errBroken
		}
		found.sequences[name], body = rest, body[1+size:]
	}
	if found.command == nil {
		return nil, errBroken
	}
	return found, nil
}

// parseQuery reads the old form, in which drivers say hello before they know that the server takes the new one.
func parseQuery(id int32, body []byte) (*request, error) {
	if len(body) < 4 {
		return nil, errBroken
	}
	_, rest, ended := cutText(body[4:])
	if !ended || len(rest) < 8 {
		return nil, errBroken
	}
	command, _, err := wholeDocument(rest[8:])
	return &request{id: id, legacy: true, command: command}, err
}

func cutText(data []byte) (string, []byte, bool) {
	for index, one := range data {
		if one == 0 {
			return string(data[:index]), data[index+1:], true
		}
	}
	return "", nil, false
}

// answerHead is the head of a message that answers a request, up to where its document begins; its length is not yet known.
func answerHead(to *request) []byte {
	head := make([]byte, headerSize, 64)
	binary.LittleEndian.PutUint32(head[8:], uint32(to.id))
	if to.legacy {
		binary.LittleEndian.PutUint32(head[12:], opReply)
		head = append(head, 8, 0, 0, 0) // the server knows "await data"
		head = append(head, make([]byte, 12)...)
		return append(head, 1, 0, 0, 0)
	}
	binary.LittleEndian.PutUint32(head[12:], opMessage)
	return append(head, 0, 0, 0, 0, 0)
}

// write sends a document as the answer.
func write(connection net.Conn, to *request, answer document) error {
	message := append(answerHead(to), answer...)
	binary.LittleEndian.PutUint32(message, uint32(len(message)))
	_, err := connection.Write(message)
	return err
}
