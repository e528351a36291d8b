package broker

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"switchpoint/directory"
	"switchpoint/internal/covers"
)

// TestRefusedCodes: only what a directory says after the right password may be told, and never that an
// account is locked (SE2).
func TestRefusedCodes(t *testing.T) {
	covers.Req(t, "SE2")
	for code, want := range map[string]string{
		"532": CodePasswordExpired, "773": CodePasswordMustChange, "533": CodeAccountDisabled, "701": CodeAccountExpired,
		"530": CodeNotNow, "531": CodeNotNow, directory.CodePasswordPolicy: CodePasswordPolicy,
		"775": CodeSignInFailed, "525": CodeSignInFailed, "52e": CodeSignInFailed, "": CodeSignInFailed, "999": CodeSignInFailed,
		directory.CodeNoUser: CodeSignInFailed, directory.CodeWrongPassword: CodeSignInFailed, directory.CodeEmptyPassword: CodeSignInFailed,
		directory.CodeBadName: CodeSignInFailed, directory.CodeNotAllowed: CodeSignInFailed,
	} {
		if got := refusedCode(code); got != want {
			t.Errorf("%q is told as %s, want %s", code, got, want)
		}
	}
}

func TestFloor(t *testing.T) {
	arrived := time.Now()
	for took, want := range map[time.Duration]int64{
		0: 300, time.Millisecond: 300, 300 * time.Millisecond: 300, 301 * time.Millisecond: 600, 2 * time.Second: 2100, -time.Second: 300,
	} {
		if got := floorAfter(arrived, arrived.Add(took)).Sub(arrived); got.Milliseconds() != want {
			t.Errorf("work of %s is answered after %s", took, got)
		}
	}
}

// TestStandIn: an unknown name always meets the same hash, and all hashes are met.
func TestStandIn(t *testing.T) {
	a, b := bcryptHash("a"), bcryptHash("b")
	users := &table{standIns: []passwordHash{a, b}}
	met := make(map[passwordHash]int)
	for i := range 200 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		h := users.standIn([32]byte{1}, name)
		if h != users.standIn([32]byte{1}, name) {
			t.Fatalf("%s meets two hashes", name)
		}
		met[h]++
	}
	if met[a] < 50 || met[b] < 50 {
		t.Errorf("%v", met)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	f.Add("$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	f.Add("$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	f.Add("$2y$10$")
	f.Add("$2a$10$" + string(make([]byte, 53)))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err != nil {
			return
		}
		if b, ok := h.(bcryptHash); ok {
			if cost, err := bcrypt.Cost([]byte(b)); err != nil || cost > maxBcryptCost || cost < minBcryptCost {
				t.Errorf("%q was read: cost %d, %v", s, cost, err)
			}
		}
	})
}
