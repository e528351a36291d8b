package broker

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a new hash: RFC 9106 allows it, OWASP recommends it, and it stays near 30 ms on
// one core so that a sign-in does not starve the others.
const (
	argonTime    = 2
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
)

// Bounds of what a stored hash may ask for: a setup must not be able to take the machine down.
const (
	maxArgonTime    = 16
	maxArgonMemory  = 256 * 1024 // KiB
	maxArgonThreads = 16
	maxPHC          = 256
)

// phc is a parsed argon2id hash in PHC string form.
type phc struct {
	time, memory uint32
	threads      uint8
	salt, hash   []byte
}

// HashPassword returns the argon2id hash of password for a [[user]] entry.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("hash password: it must have 1 to %d bytes", maxPassword)
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails (crypto/rand)
	p := phc{time: argonTime, memory: argonMemory, threads: argonThreads, salt: salt}
	p.hash = p.derive(password, 32)
	return p.String(), nil
}

// String is the PHC form: $argon2id$v=19$m=...,t=...,p=...$SALT$HASH.
func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.hash))
}

// parsePHC reads an argon2id PHC string and refuses parameters outside the bounds.
func parsePHC(s string) (phc, error) {
	if len(s) > maxPHC {
		return phc{}, errors.New("it is too long")
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" {
		return phc{}, errors.New("it does not read $argon2id$v=19$m=,t=,p=$SALT$HASH")
	}
	if f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errors.New("its version is not v=19")
	}
	var p phc
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return phc{}, errors.New("its parameters do not read m=,t=,p=")
	}
	var errSalt, errHash error
	p.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(f[4])
	p.hash, errHash = base64.RawStdEncoding.Strict().DecodeString(f[5])
	switch {
	case errSalt != nil || errHash != nil:
		return phc{}, errors.New("salt or hash is no base64")
	case len(p.salt) < 8 || len(p.salt) > 64 || len(p.hash) < 16 || len(p.hash) > 64:
		return phc{}, errors.New("salt or hash has a wrong length")
	case p.time < 1 || p.time > maxArgonTime || p.threads < 1 || p.threads > maxArgonThreads,
		p.memory < 8*uint32(p.threads) || p.memory > maxArgonMemory:
		return phc{}, fmt.Errorf("its cost is outside of m<=%d, t<=%d, p<=%d", maxArgonMemory, maxArgonTime, maxArgonThreads)
	case p.String() != s:
		return phc{}, errors.New("it is not in canonical form")
	}
	return p, nil
}

func (p phc) derive(password string, n int) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(n))
}

// verify compares in constant time.
func (p phc) verify(password string) bool {
	return subtle.ConstantTimeCompare(p.derive(password, len(p.hash)), p.hash) == 1
}
