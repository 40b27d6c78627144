// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "fmt"

// MongoDB's error codes, https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml.
const (
	codeBadValue         = 2
	codeIllegalOperation = 20
	codeNotFound         = 26
	codeCursorNotFound   = 43
	codeNamespaceExists  = 48
	codeCommandNotFound  = 59
	codeInvalidNamespace = 73
	codeTooLarge         = 10334
)

var codeNames = map[int]string{
	codeBadValue: "BadValue", codeIllegalOperation: "IllegalOperation", codeNotFound: "NamespaceNotFound", codeCursorNotFound: "CursorNotFound",
	codeNamespaceExists: "NamespaceExists", codeCommandNotFound: "CommandNotFound", codeInvalidNamespace: "InvalidNamespace", codeTooLarge: "BSONObjectTooLarge",
}

// refusal is an error that the client is told.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int, text string, arguments ...any) error {
	return &refusal{code, fmt.Sprintf(text, arguments...)}
}

func (r *refusal) document() document {
	return newBuilder().double("ok", 0).string("errmsg", r.text).int32("code", r.code).string("codeName", codeNames[r.code]).finish()
}
