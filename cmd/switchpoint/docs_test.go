package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the generated pages in docs instead of comparing them")

// TestCommandsPage: docs/commands.md is generated from the command line itself.
func TestCommandsPage(t *testing.T) {
	const file = "../../docs/commands.md"
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the command line (`go test ./cmd/switchpoint -run TestCommandsPage -update`).\n")
	describe(&b, rootCommand())
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what the command line says; write it anew with -update", file)
	}
}

// describe writes one section for each command that a person runs.
func describe(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	if cmd.HasParent() {
		text := cmd.Long
		if text == "" {
			text = cmd.Short + "."
		}
		fmt.Fprintf(b, "\n## %s\n\n    %s\n\n%s\n", cmd.CommandPath(), cmd.UseLine(), text)
		if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(b, "\n```\n%s```\n", flags)
		}
	}
	for _, sub := range cmd.Commands() {
		describe(b, sub)
	}
}

// TestHelpAndDocsNameTheSameCommands: what `switchpoint help` lists is what docs/commands.md has a
// section for, no more and no less.
func TestHelpAndDocsNameTheSameCommands(t *testing.T) {
	code, out, errOut := cli(t, "help")
	if code != 0 {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	_, list, found := strings.Cut(out, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	if !found {
		t.Fatalf("no list of commands in\n%s", out)
	}
	var listed []string
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "help" && name != "completion" { // of the library
			listed = append(listed, name)
		}
	}
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for line := range strings.Lines(string(page)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "## switchpoint ")
		if ok && !strings.Contains(name, " ") {
			described = append(described, name)
		}
	}
	slices.Sort(listed)
	slices.Sort(described)
	if !slices.Equal(listed, described) {
		t.Errorf("help lists %v, docs/commands.md describes %v", listed, described)
	}
}

// TestFolderTables: README and docs/architecture.md name every folder with Go packages.
func TestFolderTables(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"../../README.md", "../../docs/architecture.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			sources, err := filepath.Glob(filepath.Join("../..", e.Name(), "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			if len(sources) > 0 && !strings.Contains(string(text), "`"+e.Name()+"`") {
				t.Errorf("%s does not name the folder %s", page, e.Name())
			}
		}
	}
}
