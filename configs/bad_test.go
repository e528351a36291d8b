package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadFiles holds every file in testdata/bad to the messages in its first lines:
//
//	# want: FILE:LINE: path: what; cure
//
// The messages name files as they look from the folder of the bad file.
func TestBadFiles(t *testing.T) {
	const dir = "testdata/bad"
	files, err := filepath.Glob(dir + "/*.toml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file)
			problems, ok := err.(Problems)
			if !ok {
				t.Fatalf("accepted (%v)", err)
			}
			got := fromFolder(t, problems.Error(), dir)
			if want := wanted(t, file); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// fromFolder gives a message as it would be with dir as the working directory.
func fromFolder(t *testing.T, message, dir string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(message, absolute+"/", ""), dir+"/", "")
}

// wanted reads the messages that a bad file announces.
func wanted(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(text)) {
		message, found := strings.CutPrefix(strings.TrimRight(line, "\n"), "# want: ")
		if !found {
			break
		}
		want = append(want, message)
	}
	return strings.Join(want, "\n")
}
