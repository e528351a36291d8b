package secret_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/internal/secret"
)

func TestRead(t *testing.T) {
	t.Setenv("PROBE_PASSWORD", "from env")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good": "from file\r\n", "blanks": " pass word \r\n", "empty": "\n", "long": strings.Repeat("x", secret.MaxBytes+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{
		"env:PROBE_PASSWORD": "from env", "file:" + dir + "/good": "from file", "file:" + dir + "/blanks": " pass word ",
	} {
		if got, err := secret.Read(ref); got != want || err != nil || secret.Check(ref) != nil {
			t.Errorf("%q: %q, %v", ref, got, err)
		}
	}
	for ref, want := range map[string]string{
		"hunter2": "must not stand in the configuration", "plain:hunter2": "must not stand in the configuration", "file:": "must not stand",
		"": "must not stand", "env:PROBE_NOT_SET": "env PROBE_NOT_SET is empty or longer", "file:" + dir + "/gone": "cannot read the password",
		"file:" + dir + "/empty": "is empty or longer", "file:" + dir + "/long": "is empty or longer than 4096 bytes",
	} {
		if got, err := secret.Read(ref); got != "" || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %q, %v", ref, got, err)
		}
	}
}
