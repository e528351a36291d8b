package sites

import (
	"strings"
	"testing"
	"time"
)

func TestReadCSV(t *testing.T) {
	const rows = `"10.0.0.0/8","CN=Prague,CN=Sites,CN=Configuration,DC=example,DC=test","hall, 7"
"10.1.0.0/16","prague",""
"10.2.0.0/16","Brno, ""south""",""
"10.3.0.0/16","",""
"10.4.0.1/16","Prague",""
"2001:db8::/32","CN=Vienna\, 2,CN=Sites,CN=Configuration,DC=example,DC=test",""
`
	for name, text := range map[string]string{
		"PowerShell 7": `"Name","Site","Location"` + "\n" + rows,
		"PowerShell 5": "#TYPE Selected.Microsoft.ActiveDirectory.Management.ADReplicationSubnet\r\n" + `"Name","Site","Location"` + "\r\n" + strings.ReplaceAll(rows, "\n", "\r\n"),
	} {
		s, err := readCSV("CSV", strings.NewReader(text), time.Now())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for client, want := range map[string]string{"10.200.0.1": "Prague", "10.1.0.1": "Prague", "10.2.0.1": `Brno, "south"`, "2001:db8::1": "Vienna, 2"} {
			if got := siteOf(s, client); got != want {
				t.Errorf("%s: %s is in %q, want %q", name, client, got, want)
			}
		}
		if p := s.Problems(); len(p) != 2 || !strings.Contains(p[0].What, "has no site") || !strings.Contains(p[1].What, "write 10.4.0.0/16") {
			t.Errorf("%s: %v", name, p)
		}
		if got := s.c.Subnets[0].Location; got != "hall, 7" {
			t.Errorf("%s: location %q", name, got)
		}
	}
	for text, want := range map[string]string{
		"":                              "first line of the CSV",
		"Name;Site;Location\n":          "no column Name",
		"Name,Location\n":               "no column Site",
		"Name,Site\n10.0.0.0/8,A,b\n":   "wrong number of fields",
		"Name,Site\n":                   "no site found",
		"Name,Site\n\"10.0.0.0/8,A\n":   "quote",
		"Site,Name\nA,10.0.0.0/8\n\xff": "neither UTF-8",
	} {
		if _, err := readCSV("CSV", strings.NewReader(text), time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("Name,Site,Location\n10.0.0.0/8,A,b\n10.1.0.0/16,\"A,CN=x\",\n")
	f.Add("#TYPE x\nSite,Name\nCN=A\\,b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := readCSV("CSV", strings.NewReader(text), time.Now()); err == nil {
			wellFormed(t, s)
		}
	})
}
