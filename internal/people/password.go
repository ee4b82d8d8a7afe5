package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// cost is what a password's hash takes: one of the settings of argon2id that
// OWASP's password storage cheat sheet gives as equally strong, the one with
// the least memory.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

var present = cost{memory: 19 << 10, passes: 2, lanes: 1}

const (
	saltBytes, hashBytes = 16, 32
	// hashesAtOnce bounds the memory that hashing takes, and hashWait how long
	// one waits for its turn.
	hashesAtOnce = 2
	hashWait     = 5 * time.Second
	// The largest cost that a stored hash may ask for.
	maxMemory, maxPasses, maxLanes = 256 << 10, 16, 16
)

// hasher hashes passwords with argon2id, few at once.
type hasher struct {
	turns  chan struct{}
	nobody string // the hash of a password that nobody has
}

func newHasher() *hasher {
	salt, hash := make([]byte, saltBytes), make([]byte, hashBytes)
	rand.Read(salt) // never fails
	rand.Read(hash)
	return &hasher{turns: make(chan struct{}, hashesAtOnce), nobody: encode(present, salt, hash)}
}

// turn waits until it may hash; give the turn back.
func (h *hasher) turn(ctx context.Context) (back func(), err error) {
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-timer.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash returns the hash of a password in the PHC string format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	back, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer back()
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	return encode(present, salt, argon2.IDKey([]byte(password), salt, present.passes, present.memory, present.lanes, hashBytes)), nil
}

// verify reports whether a password has that hash.
func (h *hasher) verify(ctx context.Context, encoded, password string) (bool, error) {
	c, salt, want, err := decode(encoded)
	if err != nil {
		return false, fmt.Errorf("reading a password's hash: %w", err)
	}
	if len(password) > 4*MaxPassword {
		password = "" // no password is that long; it takes the time of one
	}
	back, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer back()
	got := argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func encode(c cost, salt, hash []byte) string {
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.lanes, text(salt), text(hash))
}

func decode(encoded string) (c cost, salt, hash []byte, err error) {
	fields := strings.Split(encoded, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errors.New("is no hash of argon2id")
	}
	if n, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.lanes); n != 3 || err != nil {
		return c, nil, nil, errors.New("has no cost")
	}
	if c.memory > maxMemory || c.passes > maxPasses || c.lanes > maxLanes || c.passes == 0 || c.lanes == 0 {
		return c, nil, nil, errors.New("has a cost out of range")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(fields[4]); err != nil {
		return c, nil, nil, errors.New("has no salt")
	}
	if hash, err = base64.RawStdEncoding.DecodeString(fields[5]); err != nil || len(hash) == 0 {
		return c, nil, nil, errors.New("has no hash")
	}
	return c, salt, hash, nil
}
