package redirect

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"switchpoint/internal/covers"
	"switchpoint/internal/problem"
)

func TestParseRules(t *testing.T) {
	covers.Req(t, "RD6")
	const text = "# comment\r\n\r\n  OU=US > boston.us.company.com\r\nOU=Two Words > b   if_assigned_only\n\"a > \\\"b\\\" \\\\\">c\n \"  spaces  \" > d if_assigned_only"
	got, err := ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{
		{Line: 3, Text: "OU=US > boston.us.company.com", Value: "OU=US", Destination: "boston.us.company.com"},
		{Line: 4, Text: "OU=Two Words > b   if_assigned_only", Value: "OU=Two Words", Destination: "b", IfAssignedOnly: true},
		{Line: 5, Text: `"a > \"b\" \\">c`, Value: `a > "b" \`, Destination: "c"},
		{Line: 6, Text: `"  spaces  " > d if_assigned_only`, Value: "  spaces  ", Destination: "d", IfAssignedOnly: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseRulesRefuses(t *testing.T) {
	covers.Req(t, "RD6")
	for _, c := range []struct{ text, what string }{
		{"OU=US", `line 1, "OU=US": there is no ">"`},
		{"ok > a\n\nOU=US >", `line 3, "OU=US >": the destination is missing`},
		{"a > b > c", `more than one ">"`},
		{"a > b IF_ASSIGNED_ONLY", `"IF_ASSIGNED_ONLY" after the destination is not known`},
		{"a > b c d", "too many words"},
		{"a > b if_assigned_only x", "too many words"},
		{`"a > b`, "not closed"},
		{`"a\n" > b`, "before something other"},
		{`"a\`, "not closed"},
		{`"a" b > c`, `no ">" after the quoted value`},
		{`"a" > b > c`, `second ">"`},
		{"a\x00b > c", "control character"},
		{"a\xff > c", "not UTF-8"},
		{strings.Repeat("x", maxLine) + " > c", "bytes long, more than"},
		{strings.Repeat("x > c\n", maxText/6+1), "bytes long, more than"},
		{strings.Repeat("x > c\n", maxRules+1), "rules, more than"},
	} {
		rules, err := ParseRules(c.text)
		var list problem.List
		if !errors.As(err, &list) || rules != nil {
			t.Errorf("ParseRules(%.40q) = %v, %v, want a problem list", c.text, rules, err)
			continue
		}
		if p := list[0]; !strings.Contains(p.What, c.what) || p.Path != "rules" || p.Cure == "" {
			t.Errorf("ParseRules(%.40q): %+v does not say %q with a cure", c.text, p, c.what)
		}
	}
}

func TestParseRulesReportsEveryLine(t *testing.T) {
	_, err := ParseRules("one\ntwo > b\nthree\n")
	var list problem.List
	if !errors.As(err, &list) || len(list) != 2 {
		t.Fatalf("got %v, want two problems", err)
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add("OU=US > boston.us.company.com\n# x\n\"a > b\" > c if_assigned_only\n")
	f.Add(`"\"\\" > d`)
	f.Add("\"unclosed > x")
	f.Add(" > nobody")
	f.Add("a >\tb\u00a0if_assigned_only\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		for _, r := range rules {
			quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(r.Value) + `" > ` + r.Destination
			if r.IfAssignedOnly {
				quoted += " " + assignedOnly
			}
			if len(quoted) > maxLine || strings.HasPrefix(r.Destination, ">") {
				continue
			}
			again, err := ParseRules(quoted)
			if err != nil || len(again) != 1 || again[0].Value != r.Value || again[0].Destination != r.Destination || again[0].IfAssignedOnly != r.IfAssignedOnly {
				t.Errorf("%q became %+v, and %q of it %+v (%v)", text, r, quoted, again, err)
			}
		}
	})
}
