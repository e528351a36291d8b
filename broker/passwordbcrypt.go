package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of what a bcrypt hash may ask for: below, it is guessed too fast; above, one sign-in holds a
// core for more than half a second.
const (
	minBcryptCost = 10
	maxBcryptCost = 13
)

// passwordHash is what the password of a local user is compared with.
type passwordHash interface {
	// verify compares in constant time.
	verify(password string) bool
}

// bcryptHash is a hash in the form $2a$ or $2b$. It looks at the first 72 bytes of a password only.
type bcryptHash string

func (h bcryptHash) verify(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil
}

// parseHash reads the hash of a local user's password: argon2id, or bcrypt of another system.
func parseHash(s string) (passwordHash, error) {
	if !strings.HasPrefix(s, "$2") {
		return parsePHC(s)
	}
	if !strings.HasPrefix(s, "$2a$") && !strings.HasPrefix(s, "$2b$") {
		return nil, errors.New("of bcrypt, $2a$ and $2b$ are known")
	}
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || len(s) != 60 {
		return nil, errors.New("it does not read $2b$COST$ and 53 characters")
	}
	if strings.Trim(s[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, errors.New("salt or hash is no base64 of bcrypt")
	}
	if cost < minBcryptCost || cost > maxBcryptCost {
		return nil, fmt.Errorf("its cost %d is not in %d..%d", cost, minBcryptCost, maxBcryptCost)
	}
	return bcryptHash(s), nil
}

// standIn is what the password of an unknown name is compared with: always the hash of the same user, so
// that an unknown name takes as long as a known one, whatever kinds and costs of hashes there are. Which
// user that is depends on the secret of the cluster: at all brokers the same.
func (t *table) standIn(secret [32]byte, name string) passwordHash {
	h := hmac.New(sha256.New, secret[:])
	h.Write([]byte("stand-in\x00" + name))
	return t.standIns[binary.BigEndian.Uint64(h.Sum(nil))%uint64(len(t.standIns))]
}
