package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is a page of docs as a list of parts: text, and fenced blocks with their language.
type page struct {
	name  string
	parts []part
}

type part struct {
	language string // of a block; empty for text
	text     string // of a block: what stands between the fences
}

func pageFile(name string) string { return filepath.Join("../../docs", name) }

func readPage(t *testing.T, name string) *page {
	t.Helper()
	text, err := os.ReadFile(pageFile(name))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{name: name}
	language, rest := "", strings.Builder{}
	for line := range strings.Lines(string(text)) {
		fence, isFence := strings.CutPrefix(line, "```")
		if !isFence {
			rest.WriteString(line)
			continue
		}
		p.parts = append(p.parts, part{language, rest.String()})
		rest.Reset()
		language = strings.TrimSpace(fence)
	}
	p.parts = append(p.parts, part{"", rest.String()})
	return p
}

func (p *page) write(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, part := range p.parts {
		if part.language == "" {
			b.WriteString(part.text)
			continue
		}
		b.WriteString("```" + part.language + "\n" + part.text + "```\n")
	}
	if err := os.WriteFile(pageFile(p.name), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// blocks are the texts of the blocks in a language.
func (p *page) blocks(language string) []string {
	var out []string
	for _, part := range p.parts {
		if part.language == language {
			out = append(out, part.text)
		}
	}
	return out
}

// block is the block that contains a text.
func (p *page) block(t *testing.T, language, containing string) string {
	t.Helper()
	for _, b := range p.blocks(language) {
		if strings.Contains(b, containing) {
			return b
		}
	}
	t.Fatalf("%s has no block %s with %q", p.name, language, containing)
	return ""
}

// exchange is a command at a prompt and what it prints.
type exchange struct{ machine, typed, prints string }

func (x exchange) prompt() string { return x.machine + "$ " }

var promptForm = regexp.MustCompile(`^([a-z0-9-]+)\$ (.*)\n`)

// exchanges reads a transcript of commands on its machines.
func (c *company) exchanges(block string) []exchange {
	c.t.Helper()
	return parseExchanges(c.t, block, c.machines)
}

// parseExchanges reads a transcript with prompts of known machines. A command that ends in a backslash
// goes on in the next line.
func parseExchanges(t *testing.T, block string, known map[string]string) []exchange {
	t.Helper()
	var out []exchange
	open := false
	for line := range strings.Lines(block) {
		m := promptForm.FindStringSubmatch(line)
		switch {
		case open:
			out[len(out)-1].typed += "\n" + strings.TrimSuffix(line, "\n")
		case m != nil && known[m[1]] != "":
			out = append(out, exchange{machine: m[1], typed: m[2]})
		case len(out) == 0:
			t.Fatalf("no prompt of a machine in %q", line)
		default:
			out[len(out)-1].prints += line
			continue
		}
		open = strings.HasSuffix(out[len(out)-1].typed, `\`)
	}
	return out
}
