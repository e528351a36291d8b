package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What the documents tell people to type exists.

// documents are the pages that tell people what to type.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(moduleRoot, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[strings.TrimPrefix(path, moduleRoot+"/")] = string(text)
		}
	}
	if texts["README.md"] == "" {
		t.Fatal("there is no README.md")
	}
	return texts
}

func TestRuleDocumentedCommandsExist(t *testing.T) {
	found := 0
	for name, text := range documents(t) {
		for _, line := range typed(text) {
			args, ok := switchpointArgs(line.text)
			if !ok {
				continue
			}
			found++
			if err := resolveCommand(rootCommand(), args); err != nil {
				t.Errorf("%s:%d: %q: %v", name, line.number, line.text, err)
			}
		}
	}
	if found == 0 {
		t.Error("no command line was found, so nothing was checked")
	}
}

func TestRuleDocumentedMakeTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(moduleRoot, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := makeTargets(string(makefile))
	for name, text := range documents(t) {
		for _, line := range typed(text) {
			for _, match := range makeLine.FindAllStringSubmatch(line.text, -1) {
				if !slices.Contains(targets, match[1]) {
					t.Errorf("%s:%d: make has no target %s", name, line.number, match[1])
				}
			}
		}
	}
}

func TestRulesOfDocumentsFindBreaches(t *testing.T) {
	root := func() *cobra.Command {
		root := &cobra.Command{Use: "switchpoint", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
		check := &cobra.Command{Use: "check", Args: noArgs, RunE: root.RunE}
		check.Flags().StringP("config", "c", "", "")
		check.Flags().Bool("effective", false, "")
		list := &cobra.Command{Use: "list", Args: noArgs, RunE: root.RunE}
		health := &cobra.Command{Use: "health"}
		health.PersistentFlags().String("node", "", "")
		health.AddCommand(list)
		root.AddCommand(check, health)
		return root
	}
	for line, want := range map[string]string{
		"switchpoint":                                        "",
		"switchpoint --help":                                 "",
		"switchpoint help check":                             "",
		"$ bin/switchpoint check -c FILE --effective":        "",
		"switchpoint check -cFILE [--effective] # all of it": "",
		"switchpoint check --config=FILE | less":             "",
		"switchpoint health list --node 'a dir'":             "",
		"switchpoint health --node DIR list":                 "",
		"sudo switchpoint check -c FILE && reboot":           "",
		"switchpoint chekc":                                  `unknown command "chekc" for "switchpoint"`,
		"switchpoint check --efective":                       "switchpoint check has no flag --efective",
		"switchpoint check -x":                               "switchpoint check has no flag -x",
		"switchpoint check FILE":                             `unknown argument "FILE"`,
		"switchpoint health":                                 "switchpoint health does nothing by itself",
		"switchpoint health lst":                             `there is no command "lst"`,
	} {
		args, ok := switchpointArgs(line)
		if !ok {
			t.Errorf("%q is not seen as a command line", line)
			continue
		}
		got := ""
		if err := resolveCommand(root(), args); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if _, ok := switchpointArgs("cat switchpoint.toml"); ok {
		t.Error("a file name is seen as a command line")
	}
	got := typed("text\n```\nswitchpoint run \\\n  -c x\nmake test\n```\nRun `make lint` or\n`switchpoint demo`.")
	want := []typedLine{{3, "switchpoint run -c x"}, {5, "make test"}, {7, "make lint"}, {8, "switchpoint demo"}}
	if !slices.Equal(got, want) {
		t.Errorf("typed = %v, want %v", got, want)
	}
	if got := makeTargets(".PHONY: a\na b-c: d ## help\nX := 1\n\techo: hi\n"); !slices.Equal(got, []string{"a", "b-c"}) {
		t.Errorf("targets = %v", got)
	}
}

type typedLine struct {
	number int
	text   string
}

var (
	inlineCode = regexp.MustCompile("`([^`]+)`")
	makeLine   = regexp.MustCompile(`(?:^|&& |; |\$ )make ([a-z][a-z-]*)`)
	makeRule   = regexp.MustCompile(`(?m)^([a-z][a-z -]*):(?:[^=]|$)`)
)

// typed returns what a Markdown page shows as code: the lines of its fenced
// blocks, those that end in a backslash joined, and its inline code.
func typed(text string) []typedLine {
	var lines []typedLine
	fenced, joined := false, false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced, joined = !fenced, false
			continue
		case !fenced:
			for _, code := range inlineCode.FindAllStringSubmatch(line, -1) {
				lines = append(lines, typedLine{i + 1, code[1]})
			}
			continue
		}
		line, more := strings.CutSuffix(strings.TrimSpace(line), `\`)
		line = strings.TrimSpace(line)
		if joined {
			lines[len(lines)-1].text += " " + line
		} else if line != "" {
			lines = append(lines, typedLine{i + 1, line})
		}
		joined = more
	}
	return lines
}

func makeTargets(makefile string) []string {
	var targets []string
	for _, rule := range makeRule.FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, strings.Fields(rule[1])...)
	}
	return targets
}

// switchpointArgs returns the arguments of a command line that calls the
// program: up to the end of that command, without the brackets that mark
// options as optional.
func switchpointArgs(line string) ([]string, bool) {
	words := shellWords(strings.TrimPrefix(line, "$ "))
	if len(words) > 0 && words[0] == "sudo" {
		words = words[1:]
	}
	if len(words) == 0 || (words[0] != "switchpoint" && words[0] != "bin/switchpoint") {
		return nil, false
	}
	args := []string{}
	for _, word := range words[1:] {
		if slices.Contains([]string{"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "#", "..."}, word) {
			break
		}
		if word = strings.Trim(word, "[]"); word != "" {
			args = append(args, strings.TrimSuffix(word, "..."))
		}
	}
	return args, true
}

// shellWords parts a line at blanks outside quotes.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	open := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t':
			if open || word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
		}
	}
	if open || word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

// resolveCommand checks that a command line names a command that does
// something, flags that it has, and arguments that it takes.
func resolveCommand(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	var positional []string
	for i := 0; i < len(rest); i++ {
		if !strings.HasPrefix(rest[i], "-") || rest[i] == "-" {
			positional = append(positional, rest[i])
			continue
		}
		flag, takesNext := findFlag(cmd, rest[i])
		if flag == nil {
			return fmt.Errorf("%s has no flag %s", cmd.CommandPath(), strings.SplitN(rest[i], "=", 2)[0])
		}
		if flag.Name == "help" {
			return nil
		}
		if takesNext {
			i++
		}
	}
	if !cmd.Runnable() {
		if len(positional) > 0 {
			return fmt.Errorf("there is no command %q", positional[0])
		}
		return fmt.Errorf("%s does nothing by itself", cmd.CommandPath())
	}
	if err := cmd.ValidateArgs(positional); err != nil {
		var usage *usageError
		if errors.As(err, &usage) {
			return usage.err
		}
		return err
	}
	return nil
}

// findFlag looks up "--name", "--name=value", "-n" or "-nVALUE" and reports
// whether its value is the next word.
func findFlag(cmd *cobra.Command, word string) (flag *pflag.Flag, takesNext bool) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if strings.HasPrefix(word, "--") {
		flag = cmd.Flag(name)
	} else {
		flag = cmd.Flags().ShorthandLookup(name[:1])
		if flag == nil {
			flag = cmd.InheritedFlags().ShorthandLookup(name[:1])
		}
		hasValue = hasValue || len(name) > 1
	}
	return flag, flag != nil && !hasValue && flag.NoOptDefVal == ""
}
