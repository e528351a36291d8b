package logins

import (
	"context"
	"os/exec"
)

// output runs our own program and returns what it prints.
func output(ctx context.Context, self string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, self, args...).Output() //nolint:gosec // G204: our own binary with arguments of this package
	return string(out), err
}
