// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// firstBatch is the answer of a cursor that has few documents.
func firstBatch(namespace string, documents []document) document {
	cursor := newBuilder().array("firstBatch", documentValues(documents)).int64("id", 0).string("ns", namespace).finish()
	return newBuilder().document("cursor", cursor).double("ok", 1).finish()
}

// listing is what `listCollections` tells of one collection.
func listing(name string, options document, uuid []byte) document {
	info := newBuilder().bool("readOnly", false).binary("uuid", 4, uuid).finish()
	built := newBuilder().string("name", name).string("type", "collection").document("options", options).document("info", info)
	return built.document("idIndex", idIndex()).finish()
}

// idIndex is the index that every collection has.
func idIndex() document {
	return newBuilder().int32("v", 2).document("key", newBuilder().int32("_id", 1).finish()).string("name", "_id_").finish()
}

func (s *server) listDatabases() document {
	sizes := s.sink.databases()
	for _, one := range s.canned {
		sizes[s.database] += one.bytes()
	}
	var found []document
	for _, name := range sortedKeys(sizes) {
		found = append(found, newBuilder().string("name", name).int64("sizeOnDisk", sizes[name]).bool("empty", sizes[name] == 0).finish())
	}
	return newBuilder().array("databases", documentValues(found)).double("ok", 1).finish()
}

func (s *server) listCollections(database string, command document) (document, error) {
	filter, err := command.lookup("filter").document().fields()
	if err != nil {
		return nil, err
	}
	wanted := ""
	for _, one := range filter {
		if one.key != "name" || one.kind != kindString {
			return nil, refuse(codeBadValue, "The wire server lists all collections or the one of a name.")
		}
		wanted = one.text()
	}
	var found []document
	if database == s.database {
		for _, one := range s.canned {
			if wanted == "" || wanted == one.name {
				found = append(found, listing(one.name, newBuilder().finish(), one.uuid))
			}
		}
	}
	return firstBatch(database+".$cmd.listCollections", append(found, s.sink.listings(database, wanted)...)), nil
}

func (s *server) listIndexes(database, name string) (document, error) {
	if found := s.collection(database, name); found != nil {
		return firstBatch(database+"."+name, found.indexes), nil
	}
	if indexes, there := s.sink.indexes(database, name); there {
		return firstBatch(database+"."+name, indexes), nil
	}
	return nil, refuse(codeNotFound, "ns does not exist: %s.%s", database, name)
}

// count tells the number of documents that a query finds, also in the sink where the query is empty.
func (s *server) count(database, name string, command document) (document, error) {
	query := command.lookup("query").document()
	if number, _, there := s.sink.size(database, name); there && len(query) == 5 {
		return newBuilder().int64("n", number).double("ok", 1).finish(), nil
	}
	found, err := s.documents(database, name)
	if err == nil {
		found, err = found.filtered(query)
	}
	if err != nil {
		return nil, err
	}
	return newBuilder().int64("n", int64(found.count())).double("ok", 1).finish(), nil
}

// statistics tells a collection's size, 0 of one that is not there, as MongoDB does.
func (s *server) statistics(database, name string) (document, error) {
	number, size, _ := s.sink.size(database, name)
	if found := s.collection(database, name); found != nil {
		number, size = int64(found.count()), found.bytes()
	}
	return newBuilder().string("ns", database+"."+name).int64("count", number).int64("size", size).
		int64("avgObjSize", size/max(1, number)).int64("storageSize", size).double("ok", 1).finish(), nil
}

// wireDigest tells for each collection, canned or sunk, how many documents and bytes it has and their digest.
func (s *server) wireDigest() document {
	sums := s.sink.digests()
	for _, one := range s.canned {
		sums[s.database+"."+one.name] = one.digest()
	}
	collections := newBuilder()
	for _, name := range sortedKeys(sums) {
		collections.document(name, sums[name].document())
	}
	return newBuilder().document("collections", collections.finish()).double("ok", 1).finish()
}

func (d digest) document() document {
	return newBuilder().int64("count", d.count).int64("bytes", d.bytes).string("digest", d.hex()).finish()
}
