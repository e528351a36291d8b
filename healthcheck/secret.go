package healthcheck

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxSecret bounds a password.
const maxSecret = 4 << 10

// secretReference takes "file:PATH" or "env:NAME" apart. Its error never shows the value: it may
// be a password.
func secretReference(ref string) (kind, name string, err error) {
	kind, name, found := strings.Cut(ref, ":")
	if !found || kind != "file" && kind != "env" || name == "" {
		return "", "", errors.New("a password must not stand in the configuration")
	}
	return kind, name, nil
}

// secretCure goes with every fault of a reference.
const secretCure = `write the password to a file and name it "file:PATH", or use "env:NAME"`

// readSecret gives the password that a reference names; one line end after it does not count.
// Without a reference there is none.
func readSecret(ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	kind, name, err := secretReference(ref)
	if err != nil {
		return "", err
	}
	var secret string
	if kind == "env" {
		secret = os.Getenv(name)
	} else {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("cannot read the password: %w", err)
		}
		secret = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	}
	if secret == "" || len(secret) > maxSecret {
		return "", fmt.Errorf("the password in %s %s is empty or longer than %d bytes", kind, name, maxSecret)
	}
	return secret, nil
}
