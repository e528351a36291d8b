package sites

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// csvForest is where the objects of a CSV are put, which does not tell.
const csvForest = ",CN=Sites,CN=Configuration,DC=csv"

// readCSV makes a Set of
//
//	Get-ADReplicationSubnet -Filter * -Properties Location | Select Name,Site,Location | Export-Csv
//
// Site may be a DN, as that command gives it, or a name. There are no links in it: every site
// reaches itself only, and a site without a subnet is not known.
func readCSV(source string, r io.Reader, now time.Time) (*Set, error) {
	text, err := readText(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(text, []byte("#TYPE")) { // PowerShell 5 without -NoTypeInformation
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.ReuseRecord = true
	columns, err := csvColumns(in)
	if err != nil {
		return nil, err
	}
	var entries []entry
	sites := make(map[string]bool)
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return newSet(source, now, entries, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("read CSV: %w", err)
		}
		if len(entries) >= maxEntries {
			return nil, fmt.Errorf("more than %d sites and subnets", maxEntries)
		}
		subnet := csvEntry("subnet", row[columns[0]], ",CN=Subnets")
		if columns[2] >= 0 {
			subnet.attrs["location"] = []string{strings.Clone(row[columns[2]])}
		}
		if site := csvSite(row[columns[1]]); site != "" {
			e := csvEntry("site", site, "")
			if !sites[fold(site)] {
				sites[fold(site)] = true
				entries = append(entries, e)
			}
			subnet.attrs["siteobject"] = []string{e.dn}
		}
		entries = append(entries, subnet)
	}
}

// csvColumns finds Name, Site and Location (-1 where there is none) in the first row.
func csvColumns(in *csv.Reader) ([3]int, error) {
	head, err := in.Read()
	if err != nil {
		return [3]int{}, fmt.Errorf("read the first line of the CSV: %w", err)
	}
	var at [3]int
	for i, want := range []string{"Name", "Site", "Location"} {
		at[i] = slices.IndexFunc(head, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), want) })
		if at[i] < 0 && want != "Location" {
			return at, fmt.Errorf("the CSV has no column %s: export with Select Name,Site,Location", want)
		}
	}
	return at, nil
}

func csvEntry(class, name, container string) entry {
	return entry{
		dn:    "CN=" + escapeDN(strings.TrimSpace(name)) + container + csvForest,
		attrs: map[string][]string{"objectclass": {class}},
	}
}

// csvSite gives the name of a site that may be written as a DN.
func csvSite(s string) string {
	if p, ok := parsePath(s); ok {
		return p.name
	}
	return strings.TrimSpace(s)
}

// escapeDN makes a value of a DN (RFC 4514, 2.4); every special character may be written in
// hexadecimal.
func escapeDN(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; strings.IndexByte(" \"#+,;<=>\\", c) >= 0 || c < ' ' {
			fmt.Fprintf(&b, "\\%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
