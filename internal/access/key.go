package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"poa/internal/store"
)

// prefix begins every key, so that people and secret scanners recognise one.
const prefix = "poa_"

// keyBytes is the entropy of a key.
const keyBytes = 32

// NewKey returns a key of 256 random bits, and the hash under which it is
// stored. The key itself is kept nowhere.
func NewKey() (key string, hash []byte) {
	secret := make([]byte, keyBytes)
	rand.Read(secret) // never fails
	key = prefix + base64.RawURLEncoding.EncodeToString(secret)
	sum := hashOf(key)
	return key, sum[:]
}

// hashOf is the hash of a key. A key is random, so that a fast hash without
// salt keeps it.
func hashOf(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// isKey reports whether text has the form of a key.
func isKey(text string) bool {
	secret, ok := strings.CutPrefix(text, prefix)
	return ok && len(secret) == base64.RawURLEncoding.EncodedLen(keyBytes)
}

// Roles are the roles a key can have.
func Roles() []store.Role { return []store.Role{store.Viewer, store.Operator, store.VoterGateway} }

// ParseRole returns the role with that name.
func ParseRole(name string) (store.Role, error) {
	if r := store.Role(name); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("must be viewer, operator or voter-gateway, is %q", name)
}

// maxName is the longest name of a key, in characters.
const maxName = 100

// CheckName returns nil for text that can name a key: it is shown in logs and
// wherever its holder changed something.
func CheckName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("must not be empty")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("must be printable text")
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("must be at most %d characters", maxName)
	}
	return nil
}
