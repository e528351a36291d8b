package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var csvFields = CenterFields{}.withDefaults(CenterCSV)

func TestParseCSV(t *testing.T) {
	got, err := parseCSV(strings.NewReader("\ufeffName, Host ,ip,os,tags,port,enabled,colour\n"+
		"# a comment\n"+
		"one,one.company.com,10.0.0.1,Linux,b;a;;a,2222,yes,red\n"+
		"two,,10.0.0.2\n"+
		"\"three\",,,\"Windows, 11\",,,no\n"+
		"one,,10.0.0.3\n"+
		"four,,10.0.0\n"+
		",,10.0.0.5\n"+
		"five,a host,\n"+
		"six,,,,,99999\n"+
		"seven,,,,,,perhaps\n"), csvFields)
	if err != nil {
		t.Fatal(err)
	}
	want := []Machine{
		{Name: "one", Host: "one.company.com", IP: "10.0.0.1", OS: "Linux", Tags: []string{"a", "b"}, Port: 2222},
		{Name: "two", Host: "10.0.0.2", IP: "10.0.0.2"},
		{Name: "three", Host: "three", OS: "Windows, 11", Disabled: true},
	}
	if !reflect.DeepEqual(got.Machines, want) {
		t.Errorf("got  %+v\nwant %+v", got.Machines, want)
	}
	var bad []string
	for _, b := range got.Bad {
		bad = append(bad, b.String())
	}
	if all := strings.Join(bad, "\n"); len(bad) != 6 || !strings.Contains(all, `line 6: "one" stands at line 3 already`) || !strings.Contains(all, "line 10: \"99999\" is no port") {
		t.Errorf("bad rows:\n%s", all)
	}
	for text, why := range map[string]string{
		"":                      "it is empty",
		"host,ip\n":             `no column "name"`,
		"name,name\n":           `two columns "name"`,
		"name\n\"one":           "line 2, column 5",
		"name\n" + `a"b` + "\n": "line 2, column 2",
	} {
		if _, err := parseCSV(strings.NewReader(text), csvFields); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
}

func TestParseJSON(t *testing.T) {
	fields := CenterFields{ID: "meta.uuid", Name: "hostname", Tags: "labels", Enabled: "on"}.withDefaults(CenterHTTP)
	got, err := parseJSON(strings.NewReader(`{"total": 3, "data": {"note": {"machines": []}, "machines": [
		{"hostname": "one", "meta": {"uuid": "u-1"}, "ip": "10.0.0.1", "labels": ["x", "y"], "port": 22, "on": true, "protocol": "SSH"},
		{"hostname": "two", "labels": "x;z", "on": false},
		{"hostname": 7},
		{"hostname": {"a": 1}}
	], "more": 1}}`), "data.machines", fields)
	if err != nil {
		t.Fatal(err)
	}
	want := []Machine{
		{ID: "u-1", Name: "one", Host: "10.0.0.1", IP: "10.0.0.1", Tags: []string{"x", "y"}, Port: 22, Protocol: "ssh"},
		{Name: "two", Host: "two", Tags: []string{"x", "z"}, Disabled: true},
		{Name: "7", Host: "7"},
	}
	if !reflect.DeepEqual(got.Machines, want) || len(got.Bad) != 1 || got.Bad[0].Where != "item 4" {
		t.Errorf("got  %+v, bad %v\nwant %+v", got.Machines, got.Bad, want)
	}
	if got, err := parseJSON(strings.NewReader(`[{"name":"a"}]`), "", csvFields); err != nil || len(got.Machines) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for text, items := range map[string]string{
		``: "", `{}`: "", `[1]`: "", `{"a":1}`: "a", `{"a":{}}`: "b", `[{"name":"a"}`: "", `[{"name":"a"},`: "", `{"a":[{"name":"x"}`: "a", `nil`: "a.b",
	} {
		if got, err := parseJSON(strings.NewReader(text), items, csvFields); err == nil {
			t.Errorf("%s at %q is accepted: %+v", text, items, got)
		}
	}
}

// wellFormed are the promises about whatever is read from an inventory.
func wellFormed(t *testing.T, in Inventory) {
	keys, names := make(map[string]bool), make(map[string]bool)
	for _, m := range in.Machines {
		if keys[m.Key()] || names[strings.ToLower(m.Name)] {
			t.Errorf("%q twice", m.Key())
		}
		keys[m.Key()], names[strings.ToLower(m.Name)] = true, true
		if m.Name == "" || !plainHost(m.Host) || m.Port < 0 || m.Port > 65535 || len(m.Description) > maxMachineText || strings.Contains(joined(m.Tags), "\n") {
			t.Errorf("%+v", m)
		}
	}
}

func joined(tags []string) string { return strings.Join(tags, ";") }

func FuzzInventoryCSV(f *testing.F) {
	f.Add("name,ip\none,10.0.0.1\n")
	f.Add("name,tags,port\n\"a\nb\",x;y,70000\n")
	f.Add("\ufeffname;host\n")
	f.Fuzz(func(t *testing.T, text string) {
		if in, err := parseCSV(strings.NewReader(text), csvFields); err == nil {
			wellFormed(t, in)
		}
	})
}

func FuzzInventoryJSON(f *testing.F) {
	f.Add(`{"a":[{"name":"x","tags":["y"]}]}`, "a")
	f.Add(`[{"name":"x","ip":"::1","port":1e3}]`, "")
	f.Add(`{"a":{"b":[{}]},"a":1}`, "a.b")
	f.Fuzz(func(t *testing.T, text, items string) {
		if in, err := parseJSON(strings.NewReader(text), items, csvFields); err == nil {
			wellFormed(t, in)
		}
	})
}

func FuzzAssignments(f *testing.F) {
	f.Add("user,directory,desktop\nanna,corp,d1\n")
	f.Add("desktop,user\nd1,\nd1,x,y\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := parseAssignments(strings.NewReader(text))
		if err != nil {
			return
		}
		Setup{}.checkImport(rows)
		for _, r := range rows {
			if r.Verdict == "" && (r.to.Desktop == "" || len(r.to.Desktop) > maxName || len(r.to.User) > 256) {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestParseAssignments(t *testing.T) {
	rows, err := parseAssignments(strings.NewReader("desktop,user,directory\nd1, ANNA ,corp\nd2,bert\n,carl,corp\nd1,dora,corp\nd3,x,nowhere\nd4,a,corp,b\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := Setup{Directories: []Directory{{}}}
	s.Directories[0].Name = "corp"
	s.checkImport(rows)
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%d %s %s %s %s", r.Line, r.to.User, r.to.Directory, r.Verdict, r.Why))
	}
	want := []string{
		"2 anna corp  ",
		"3 bert corp  ",
		"4 carl corp refused the desktop is empty or not usable as a name",
		`5 dora corp refused desktop "d1" stands at line 2 already`,
		`6 x nowhere refused unknown directory "nowhere"`,
		"7 a corp refused it has more values than the first line has columns",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, bad := range []string{"", "user\n", "desktop\n", "user,desktop,colour\n", "user,user,desktop\n", "user,desktop\n\"x"} {
		if _, err := parseAssignments(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestAssignmentVerdicts(t *testing.T) {
	anna, bert := Who{"corp", "anna"}, Who{"corp", "bert"}
	for _, tc := range []struct {
		user  string
		facts AssignmentFacts
		want  string
	}{
		{"anna", AssignmentFacts{}, AssignRefused},
		{"anna", AssignmentFacts{Known: true}, AssignAdd},
		{"anna", AssignmentFacts{Known: true, Owner: anna}, AssignSame},
		{"anna", AssignmentFacts{Known: true, Owner: anna, FromSetup: true}, AssignSame},
		{"anna", AssignmentFacts{Known: true, Owner: bert}, AssignChange},
		{"anna", AssignmentFacts{Known: true, Owner: bert, FromSetup: true}, AssignRefused},
		{"anna", AssignmentFacts{Known: true, Pooled: true}, AssignRefused},
		{"anna", AssignmentFacts{Known: true, HeldBy: bert}, AssignRefused},
		{"anna", AssignmentFacts{Known: true, HeldBy: anna}, AssignAdd},
		{"", AssignmentFacts{Known: true, Owner: bert}, AssignRemove},
		{"", AssignmentFacts{Known: true}, AssignSame},
		{"", AssignmentFacts{Known: true, Owner: bert, FromSetup: true}, AssignRefused},
	} {
		v := tc.facts.Judge(Assignment{User: tc.user, Directory: "corp", Desktop: "d"})
		if v.Verdict != tc.want || v.Verdict == AssignRefused && (v.Why == "" || v.Cure == "") {
			t.Errorf("%q, %+v: %+v, want %s", tc.user, tc.facts, v, tc.want)
		}
	}
}
