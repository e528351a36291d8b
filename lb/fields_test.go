package lb

import (
	"bytes"
	"testing"
)

// TestFieldText: every byte at every place of a word is judged like a byte alone.
func TestFieldText(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c != 0x7f || c == '\t'
		for n := 1; n < 20; n++ {
			for at := range n {
				for _, fill := range []byte{' ', '~', 0x80, 0xff, '\t'} {
					b := bytes.Repeat([]byte{fill}, n)
					b[at] = byte(c)
					if isFieldText(b) != want {
						t.Fatalf("%q is text: %v", b, !want)
					}
				}
			}
		}
	}
}

func TestToken(t *testing.T) {
	const delimiters = "\"(),/:;<=>?@[\\]{}"
	for c := range 256 {
		want := c > ' ' && c < 0x7f && !bytes.ContainsRune([]byte(delimiters), rune(c))
		if isTokenByte(byte(c)) != want {
			t.Errorf("%q is in a token: %v", byte(c), !want)
		}
	}
}

func TestAuthority(t *testing.T) {
	for in, want := range map[string]bool{
		"a": true, "a.b-c_d~e": true, "a:80": true, "a:": true, "1.2.3.4:65535": true, "%41": true, "[::1]": true, "[::1]:8": true, "[1:2::3.4.5.6]:": true,
		"a:65536": false, "a:-1": false, "a:+1": false, "a:00080": true, "a:000080": false, "%4": false, "%4g": false, ":": false, ":80": false, "[]": false,
		"[": false, "[:": false, "[::1": false, "[::1]x": false, "[g]": false, "a[::1]": false, "a,b": false, "a/b": false, "a@b": false, "a b": false, "a\x00": false, "a#": false, "é": false,
	} {
		if validAuthority([]byte(in)) != want {
			t.Errorf("%q is an authority: %v", in, !want)
		}
	}
}
