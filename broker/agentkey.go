package broker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/google/uuid"
)

// Prefixes are the versions of the forms.
const (
	agentKeyPrefix   = "spa1"
	enrolTokenPrefix = "spe1"
)

// AgentKey is how the agent of a desktop says who it is. It leaves the broker once, in the answer to
// the enrolment; only its hash is stored.
type AgentKey struct {
	Desktop string // id
	Secret  [32]byte
}

var errAgentKey = errors.New("key is not spa1.DESKTOP.BASE64URL")

// String is the form that the agent keeps: spa1.DESKTOP.BASE64URL.
func (k AgentKey) String() string {
	return agentKeyPrefix + "." + k.Desktop + "." + base64.RawURLEncoding.EncodeToString(k.Secret[:])
}

// Hash is what the store keeps: SHA-256 over the whole text, so that the desktop cannot be exchanged.
func (k AgentKey) Hash() [32]byte { return sha256.Sum256([]byte(k.String())) }

// ParseAgentKey reads what String writes and nothing else.
func ParseAgentKey(s string) (AgentKey, error) {
	if len(s) > 128 {
		return AgentKey{}, errAgentKey
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != agentKeyPrefix {
		return AgentKey{}, errAgentKey
	}
	id, err := uuid.Parse(parts[1])
	raw, bad := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || bad != nil || len(raw) != 32 {
		return AgentKey{}, errAgentKey
	}
	k := AgentKey{Desktop: id.String(), Secret: [32]byte(raw)}
	if k.String() != s {
		return AgentKey{}, errAgentKey
	}
	return k, nil
}

// newEnrolToken is what an operator hands to an agent.
func newEnrolToken() string {
	var secret [32]byte
	rand.Read(secret[:]) // never fails (crypto/rand)
	return enrolTokenPrefix + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}

// maxEnrolToken bounds what is hashed of a request.
const maxEnrolToken = 128
