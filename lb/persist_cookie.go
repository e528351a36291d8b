package lb

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"time"
)

// The cookie that names a member (LB3): 8 bytes that stand for the member, 4 of the time at which
// it was written, 16 that sign both. Whoever has no key learns nothing of the member from it but
// that it is the same one.
const (
	cookieTag  = 8
	cookieTime = 4
	cookieMAC  = 16
	cookieSize = cookieTag + cookieTime + cookieMAC
	cookieText = (cookieSize*8 + 5) / 6 // in base64url
)

// cookieWriter writes and reads the cookies of one pool.
type cookieWriter struct {
	inner, outer [sha256.BlockSize]byte // of HMAC (RFC 2104), with the pool's key in them
	tags         [][cookieTag]byte      // of the members
}

// cookieWriter makes that of a pool, nil for one without cookies.
func (p *Proxy) cookieWriter(pt *poolTable) *cookieWriter {
	secret := pt.persist.secret
	switch {
	case pt.persist.kind != PersistCookie:
		return nil
	case secret == nil:
		secret = p.cookieSecret
	}
	return newCookieWriter(secret, pt.name, pt.members)
}

// newCookieWriter makes the pool's key from secret. The same secret gives the same one on every
// node.
func newCookieWriter(secret []byte, pool string, members []memberTable) *cookieWriter {
	key := macOf(secret, "switchpoint lb cookie "+pool)
	w := &cookieWriter{}
	for i := range w.inner {
		w.inner[i], w.outer[i] = 0x36, 0x5c
	}
	for i, b := range key {
		w.inner[i] ^= b
		w.outer[i] ^= b
	}
	for _, m := range members {
		tag := macOf(key, "member "+m.address)
		w.tags = append(w.tags, [cookieTag]byte(tag[:cookieTag]))
	}
	return w
}

func macOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// mac is HMAC-SHA256, cut to 16 bytes, without allocation.
func (w *cookieWriter) mac(named *[cookieTag + cookieTime]byte) [cookieMAC]byte {
	var in [sha256.BlockSize + len(named)]byte
	copy(in[copy(in[:], w.inner[:]):], named[:])
	sum := sha256.Sum256(in[:])
	var out [sha256.BlockSize + sha256.Size]byte
	copy(out[copy(out[:], w.outer[:]):], sum[:])
	sum = sha256.Sum256(out[:])
	return [cookieMAC]byte(sum[:])
}

// lasts is how long a cookie is good. It is written anew after a tenth of keep only, so that every
// use gives a client keep at least.
func lasts(keep time.Duration) int64 {
	return int64((keep + keep/10 + time.Second - 1) / time.Second)
}

// append writes a member's cookie as of now, in seconds of the wall clock.
func (w *cookieWriter) append(dst []byte, member int, now int64) []byte {
	var named [cookieTag + cookieTime]byte
	copy(named[:], w.tags[member][:])
	binary.BigEndian.PutUint32(named[cookieTag:], uint32(now)) // #nosec G115 -- until 2106
	mac := w.mac(&named)
	var value [cookieSize]byte
	copy(value[copy(value[:], named[:]):], mac[:])
	return base64.RawURLEncoding.AppendEncode(dst, value[:])
}

// parse gives the member that a cookie's value names, and how old it is. A forged one, one of
// another pool or secret, and one of a member that has left name none.
func (w *cookieWriter) parse(text []byte, now int64) (member int, age int64) {
	var space [cookieSize + 3]byte // Decode wants room for whole quanta
	if len(text) != cookieText {
		return -1, 0
	}
	n, err := base64.RawURLEncoding.Strict().Decode(space[:], text)
	if err != nil || n != cookieSize {
		return -1, 0
	}
	named := [cookieTag + cookieTime]byte(space[:])
	mac := w.mac(&named)
	if subtle.ConstantTimeCompare(mac[:], space[len(named):cookieSize]) != 1 {
		return -1, 0
	}
	for i := range w.tags {
		if w.tags[i] == [cookieTag]byte(named[:]) {
			return i, now - int64(binary.BigEndian.Uint32(named[cookieTag:]))
		}
	}
	return -1, 0
}

// read finds the member in a request's cookies. stale says that the cookie should be written anew.
func (w *cookieWriter) read(fields []byte, name string, now int64, keep time.Duration) (member int, stale bool) {
	member = -1
	eachChecked(fields, func(f field) {
		if member >= 0 || !is(f.name, "cookie") {
			return
		}
		m, age := w.parse(cookieOf(f.value, name), now)
		most := lasts(keep)
		if m >= 0 && age <= most && age >= -most { // the clock of another node may be ahead
			member = m
			stale = age < 0 || age >= int64(keep/10/time.Second)
		}
	})
	return member, stale
}

// appendSetCookie writes the fields that give the client its cookie. A cache must not give it to
// others (RFC 9111 5.2.2.4).
func (lp *livePool) appendSetCookie(dst []byte, v *visitor, secure bool) []byte {
	dst = append(append(append(dst, "Set-Cookie: "...), lp.persist.cookie...), '=')
	dst = lp.cookies.append(dst, v.member, v.clock)
	dst = append(dst, "; Path=/; Max-Age="...)
	dst = strconv.AppendInt(dst, lasts(lp.persist.keep), 10)
	dst = append(dst, "; HttpOnly; SameSite=Lax"...)
	if secure {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\nCache-Control: no-cache=\"Set-Cookie\"\r\n"...)
}

// appendCookies writes a Cookie field without the cookies of those names, which are none of the
// member's business. Nothing is written where no other is left.
func appendCookies(dst []byte, f field, names []string) []byte {
	if !slices.ContainsFunc(names, func(name string) bool { return cookieOf(f.value, name) != nil }) {
		return appendLine(dst, f)
	}
	begin := len(dst)
	dst = append(append(dst, f.name...), ": "...)
	first := len(dst)
	for value, more := f.value, true; more; {
		var pair []byte
		pair, value, more = cutByte(value, ';')
		if pair = trimOWS(pair); len(pair) == 0 {
			continue
		}
		if slices.ContainsFunc(names, func(name string) bool { _, ours := cookieValue(pair, name); return ours }) {
			continue
		}
		if len(dst) > first {
			dst = append(dst, "; "...)
		}
		dst = append(dst, pair...)
	}
	if len(dst) == first {
		return dst[:begin]
	}
	return append(dst, "\r\n"...)
}
