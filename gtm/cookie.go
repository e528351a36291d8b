package gtm

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// Sizes of the COOKIE option (RFC 7873 section 4) and of the interoperable server cookie (RFC
// 9018 section 4): version, three reserved octets, time, hash.
const (
	clientCookie = 8
	serverCookie = 16
	cookieSize   = clientCookie + serverCookie
	cookieMax    = clientCookie + 32

	cookieVersion = 1
)

// Ages of a server cookie in seconds (RFC 9018 section 4.3).
const (
	cookieLife   = 3600 // older ones are not valid
	cookieFresh  = 1800 // older ones are renewed
	cookieFuture = 300  // how far the clocks of servers with one secret may differ
)

// cookieSecret makes and verifies server cookies. Servers that answer at one address share it.
type cookieSecret [16]byte

func newCookieSecret() cookieSecret {
	var s cookieSecret
	_, _ = rand.Read(s[:]) // never fails: crypto/rand ends the process instead
	return s
}

// cookieState says what the cookie of a query proves.
type cookieState uint8

const (
	cookieNone    cookieState = iota
	cookieClient              // only the client's part: the address may be forged
	cookieInvalid             // a server part that is not ours, or too old
	cookieValid               // the client got an answer of ours at this address
)

// goodCookieSize says whether a COOKIE option may have this length: only the client's part, or
// that and 8 to 32 octets of the server's (RFC 7873 section 5.2.2).
func goodCookieSize(n int) bool { return n == clientCookie || n >= cookieSize-8 && n <= cookieMax }

// cookieSecrets are the configured secrets, else the server's own.
func (p *protocol) cookieSecrets(own []cookieSecret) []cookieSecret {
	if len(p.secrets) > 0 {
		return p.secrets
	}
	return own
}

// judgeCookie verifies a COOKIE option of good length and gives the one that the answer
// carries. The first secret makes cookies; all of them verify, so that a new one can be rolled
// in. The time is in seconds and compared by serial number arithmetic (RFC 1982), as RFC 9018
// asks. Without secrets there are no cookies.
func judgeCookie(secrets []cookieSecret, option []byte, client netip.Addr, now uint32) (cookieState, [cookieSize]byte) {
	var out [cookieSize]byte
	if len(option) == 0 || len(secrets) == 0 {
		return cookieNone, out
	}
	state := cookieClient
	if len(option) > clientCookie {
		state = cookieInvalid
	}
	if len(option) == cookieSize && option[clientCookie] == cookieVersion {
		age := int32(now - binary.BigEndian.Uint32(option[12:]))
		by := signer(secrets, option, client)
		if by >= 0 && age >= -cookieFuture && age <= cookieLife {
			if by == 0 && age >= 0 && age <= cookieFresh {
				return cookieValid, [cookieSize]byte(option)
			}
			state = cookieValid
		}
	}
	copy(out[:clientCookie], option)
	out[clientCookie] = cookieVersion
	binary.BigEndian.PutUint32(out[12:], now)
	hash := secrets[0].hash(out[:16], client)
	copy(out[16:], hash[:])
	return state, out
}

// signer is the index of the secret that made a whole cookie, or -1.
func signer(secrets []cookieSecret, cookie []byte, client netip.Addr) int {
	for i := range secrets {
		hash := secrets[i].hash(cookie[:16], client)
		if subtle.ConstantTimeCompare(hash[:], cookie[16:]) == 1 {
			return i
		}
	}
	return -1
}

// hash is the last part of a server cookie: over the client cookie, the 8 octets before the
// hash, and the client's address.
func (s *cookieSecret) hash(head []byte, client netip.Addr) [8]byte {
	var data [32]byte
	n := copy(data[:], head)
	if client.Is4() {
		a := client.As4()
		n += copy(data[n:], a[:])
	} else {
		a := client.As16()
		n += copy(data[n:], a[:])
	}
	var out [8]byte
	binary.LittleEndian.PutUint64(out[:], sipHash24((*[16]byte)(s), data[:n]))
	return out
}

// maxSecrets bounds a file of secrets: the one in use, the next one and the one before are all
// that a rollover needs (RFC 9018 section 5).
const maxSecrets = 8

var errSecretRef = errors.New(`it is neither "file:PATH" nor "env:NAME"`)

func goodSecretRef(ref string) bool {
	kind, name, _ := strings.Cut(ref, ":")
	return name != "" && (kind == "file" || kind == "env")
}

// maxSecretFile bounds what is read of a file of secrets, in octets.
const maxSecretFile = 64 << 10

// readSecrets reads the secrets that a good reference names. Its errors never show a secret.
func readSecrets(ref string) ([]cookieSecret, error) {
	kind, name, _ := strings.Cut(ref, ":")
	if kind == "env" {
		return parseSecrets([]byte(os.Getenv(name)))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o004 != 0 {
		return nil, fmt.Errorf("%s can be read by everybody on this machine", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return nil, err
	}
	return parseSecrets(text)
}

// parseSecrets reads one secret a line, as 32 hexadecimal digits; empty lines and those that
// begin with # are left out.
func parseSecrets(text []byte) ([]cookieSecret, error) {
	var out []cookieSecret
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		var s cookieSecret
		if len(line) != hex.EncodedLen(len(s)) {
			return nil, fmt.Errorf("line %d has %d characters instead of 32 hexadecimal digits", number, len(line))
		}
		if _, err := hex.Decode(s[:], line); err != nil {
			return nil, fmt.Errorf("line %d has something else than hexadecimal digits", number)
		}
		if out = append(out, s); len(out) > maxSecrets {
			return nil, fmt.Errorf("there are more than %d secrets", maxSecrets)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no secret in it")
	}
	return out, nil
}
