package sites

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

const smallLDIF = `version: 1

# Prague, Sites, Configuration, example.test
dn: CN=Prague,CN=Sites,CN=Configuration,DC=example,DC=test
changetype: add
objectClass: top
objectClass: site
location: hall 7,
  Prague

dn: CN=10.0.0.0/8,CN=Subnets,CN=Sites,CN=Configuration,DC=example,
 DC=test
objectClass: top
objectClass: subnet
siteObject:: Q049UHJhZ3VlLENOPVNpdGVzLENOPUNvbmZpZ3VyYXRpb24sREM9ZXhhbXBsZSxEQz10ZXN0
objectGUID:: /VY8w3zh3U+3pfiRszmmXw==
uSNChanged: 4711

# search result
search: 2
result: 0 Success
control: 1.2.840.113556.1.4.319 false MAUCAQAEAA==
pagedresults: cookie=
`

func TestReadLDIF(t *testing.T) {
	units := utf16.Encode([]rune(strings.ReplaceAll(smallLDIF, "\n", "\r\n")))
	little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for _, u := range units {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	for name, text := range map[string]string{
		"as it is":            smallLDIF,
		"CRLF":                strings.ReplaceAll(smallLDIF, "\n", "\r\n"),
		"byte order mark":     "\ufeff" + smallLDIF,
		"ldifde -u":           string(little),
		"UTF-16 big":          string(big),
		"no end of line":      strings.TrimSuffix(smallLDIF, "\n"),
		"names in any case":   strings.NewReplacer("siteObject", "SITEOBJECT", "objectClass", "objectclass").Replace(smallLDIF),
		"conflict in comment": strings.Replace(smallLDIF, "# Prague,", "# Prague\nCNF:9b8b2a7c-0000-4000-8000-000000000000,", 1),
	} {
		s, err := ReadLDIF(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if siteOf(s, "10.1.2.3") != "Prague" || s.USN() != 4711 || len(s.Problems()) != 0 || s.Source() != "LDIF" {
			t.Errorf("%s: %v", name, s.c)
		}
		if site, _ := s.Site("Prague"); site.Location != "hall 7, Prague" {
			t.Errorf("%s: location %q", name, site.Location)
		}
	}
	ranged := strings.Replace(smallLDIF, "changetype: add\n", "changetype: add\nsiteList;range=0-1499: x\nsiteList;range=0-1499: y\n", 1)
	s, err := ReadLDIF(strings.NewReader(ranged))
	if err != nil || len(s.Problems()) != 1 || !strings.Contains(s.Problems()[0].What, "only some values of sitelist (0-1499)") {
		t.Errorf("an export with a part of the values: %v, %v", s, err)
	}
}

func TestReadLDIFRefuses(t *testing.T) {
	replaced := func(old, text string) string { return strings.Replace(smallLDIF, old, text, 1) }
	for want, text := range map[string]string{
		"no site found": "",
		`line 5: the record is of type "modify": an export has none or "add"`: replaced("changetype: add", "changetype: modify"),
		"line 5: a record with a control is no export":                        replaced("changetype: add", "control: 1.2.3 true"),
		`line 1: version "2" of LDIF is not known`:                            replaced("version: 1", "version: 2"),
		`line 6: "garbage" is no "name: value"`:                               replaced("objectClass: top", "garbage"),
		`line 4: a record begins with "dn:", not with "objectClass"`:          replaced("dn: CN=Prague", "objectClass: top\ndn: CN=Prague"),
		`line 15, "siteObject": the value is no base64`:                       replaced("siteObject:: Q049", "siteObject:: !"),
		`line 15, "siteObject": the value stands in another file`:             replaced("siteObject:: ", "siteObject:< file:///etc/passwd "),
		"line 15: the value of siteobject is no text":                         replaced("siteObject:: Q049", "siteObject:: "+base64.StdEncoding.EncodeToString([]byte{0xff, 0xfe, 0xfd})),
		"line 3: it continues no line":                                        replaced("# Prague", " Prague"),
		`its tool says: result "4 Size limit exceeded"`:                       replaced("0 Success", "4 Size limit exceeded"),
		"neither UTF-8 nor UTF-16":                                            "dn: \xff\n",
		"ends in the middle of a character":                                   "\xff\xfed",
	} {
		if _, err := ReadLDIF(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("#\n"), len(p)/2+1)), nil
}

func TestFilesAreBounded(t *testing.T) {
	if _, err := ReadLDIF(endless{}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file without an end: %v", err)
	}
	var b strings.Builder
	for range maxEntries + 1 {
		b.WriteString("dn: x\nobjectClass: site\n\n")
	}
	if _, err := ReadLDIF(strings.NewReader(b.String())); err == nil || !strings.Contains(err.Error(), "more than 200000 sites") {
		t.Errorf("a file with too many objects: %v", err)
	}
}

func FuzzLDIF(f *testing.F) {
	f.Add([]byte(smallLDIF))
	f.Add([]byte("\xff\xfed\x00n\x00:\x00"))
	f.Add([]byte("dn:: Q04=\r\nobjectClass:site\r\n  x\r\n\r\nresult: 0\n"))
	f.Add([]byte("dn: CN=A,CN=Sites,CN=Configuration,DC=x\nobjectClass: site\nsiteList;range=0-5: CN=A\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadLDIF(bytes.NewReader(text))
		if err == nil {
			wellFormed(t, s)
		}
	})
}

// FuzzEntries builds sets of objects as a directory may send them.
func FuzzEntries(f *testing.F) {
	f.Add("CN=A,CN=Sites,CN=Configuration,DC=x", "site", "siteObject", "CN=A,CN=Sites,CN=Configuration,DC=x")
	f.Add("CN=10.0.0.0/8,CN=Subnets,CN=Sites,CN=Configuration,DC=example,DC=test", "subnet", "siteObject", "CN=A,CN=Sites,"+testConfig)
	f.Add("CN=L,CN=IP,CN=Inter-Site Transports,CN=Sites,"+testConfig, "siteLink", "siteList", "CN=B,CN=Sites,"+testConfig)
	f.Add("CN=IP,CN=Inter-Site Transports,CN=Sites,"+testConfig, "interSiteTransport", "options", "-2147483646")
	f.Add(`CN=A\0ACNF:1,CN=Sites,`+testConfig, "site", "cost", "-1")
	f.Fuzz(func(t *testing.T, dn, class, attr, value string) {
		e := entry{dn: dn, attrs: map[string][]string{"objectclass": {class}, fold(attr): {value, "CN=A,CN=Sites," + testConfig}}}
		s, err := newSet("fuzz", noon, []entry{siteObj("A"), siteObj("B"), linkObj("ab", "1", "A", "B"), e}, nil)
		if err == nil {
			wellFormed(t, s)
		}
	})
}

// wellFormed holds for every set, whatever it was made of.
func wellFormed(t *testing.T, s *Set) {
	t.Helper()
	if err := s.c.check(); err != nil {
		t.Errorf("%v in %v", err, s.c)
	}
	text, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Set
	if err := back.UnmarshalJSON(text); err != nil || fmt.Sprint(back.c) != fmt.Sprint(s.c) {
		t.Errorf("written and read again: %v\n%v\n%v", err, back.c, s.c)
	}
	for site := range s.Sites() {
		if steps := s.Order(site.Name, map[string]int{site.Name: 1}); len(steps) != 1 || steps[0].Cost != 0 || !steps[0].Reached {
			t.Errorf("from %q to itself: %v", site.Name, steps)
		}
	}
	for _, p := range s.Problems() {
		if strings.ContainsAny(p.String(), "\n\r\x00") {
			t.Errorf("problem on more than a line: %q", p)
		}
	}
}
