// Package secret reads the passwords that a configuration names but never holds: "file:PATH" or
// "env:NAME" (design section 10).
//
// Invariant: no error shows the value or the text of a bad reference, because that text may be a
// password that somebody wrote in the wrong place.
package secret

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// MaxBytes bounds a password.
const MaxBytes = 4 << 10

// Cure goes with every fault of a reference.
const Cure = `write the password to a file and name it "file:PATH", or use "env:NAME"`

// Check says what is wrong with a reference, without following it.
func Check(ref string) error {
	_, _, err := split(ref)
	return err
}

func split(ref string) (kind, name string, err error) {
	kind, name, found := strings.Cut(ref, ":")
	if !found || kind != "file" && kind != "env" || name == "" {
		return "", "", errors.New("a password must not stand in the configuration")
	}
	return kind, name, nil
}

// Read gives the password that a reference names; one line end after it does not count.
func Read(ref string) (string, error) {
	kind, name, err := split(ref)
	if err != nil {
		return "", err
	}
	var password string
	if kind == "env" {
		password = os.Getenv(name)
	} else {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("cannot read the password: %w", err)
		}
		password = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	}
	if password == "" || len(password) > MaxBytes {
		return "", fmt.Errorf("the password in %s %s is empty or longer than %d bytes", kind, name, MaxBytes)
	}
	return password, nil
}
