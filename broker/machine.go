package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a center may say about one machine.
const (
	maxMachineText = 1024 // bytes of a value
	maxTags        = 64
	maxMachines    = 200_000 // of one center
)

// Machine is a desktop as its source describes it.
type Machine struct {
	ID          string // the source's own, stays when the machine is renamed; empty: the name
	Name        string
	Host        string // what the client dials
	IP          string
	OS          string
	OU          string
	Description string
	Tags        []string
	Port        int
	Protocol    string
	MAC         string // for Wake-on-LAN
	Disabled    bool   // the source says that nobody may use it
}

// Key is what a machine is known by from one scan to the next.
func (m *Machine) Key() string {
	if m.ID != "" {
		return m.ID
	}
	return m.Name
}

// values are those of an attribute of PoolAttributes.
func (m *Machine) values(attribute, center string) []string {
	switch attribute {
	case "name":
		return []string{m.Name}
	case "host":
		return []string{m.Host}
	case "ip":
		if m.IP == "" { // a host that is written as an address is one
			return []string{m.Host}
		}
		return []string{m.IP}
	case "os":
		return []string{m.OS}
	case "center":
		return []string{center}
	case "ou":
		return []string{m.OU}
	case "description":
		return []string{m.Description}
	default: // tag
		return m.Tags
	}
}

// equal says whether two descriptions are the same. An id that is the name is as good as none.
func (m *Machine) equal(o *Machine) bool {
	return m.Key() == o.Key() && m.Name == o.Name && m.Host == o.Host && m.IP == o.IP && m.OS == o.OS && m.OU == o.OU &&
		m.Description == o.Description && slices.Equal(m.Tags, o.Tags) && m.Port == o.Port && m.Protocol == o.Protocol && m.MAC == o.MAC && m.Disabled == o.Disabled
}

// Machine is the description of a [[desktop]], for Placement.
func (d Desktop) Machine() *Machine {
	m := &Machine{Name: d.Name, Host: d.Host, OS: d.OS, Description: d.Description, Tags: d.Tags, Port: d.Port, Protocol: d.Protocol, MAC: d.MAC}
	if a, err := netip.ParseAddr(d.Host); err == nil {
		m.IP = a.String()
	}
	return m
}

// BadRow is a part of an inventory that makes no desktop. It does not stop the others.
type BadRow struct {
	Where string // "line 7", "item 3", a DN
	// Key and Name are the machine's, as far as they could be read: it is still there, so its
	// desktop has not vanished.
	Key, Name string
	Why       string
}

// String reads as a sentence.
func (b BadRow) String() string { return b.Where + ": " + b.Why }

// Inventory is what one scan has read.
type Inventory struct {
	Machines []Machine
	Bad      []BadRow
}

// inventoryBuilder collects rows, refuses what cannot be a desktop and finds what is there twice.
type inventoryBuilder struct {
	out   Inventory
	keys  map[string]string // where each key stands
	names map[string]string
}

func newInventoryBuilder() *inventoryBuilder {
	return &inventoryBuilder{keys: make(map[string]string), names: make(map[string]string)}
}

// add takes a machine as field values by their names in CenterFields, tags apart.
func (b *inventoryBuilder) add(where string, get func(field string) string, tags []string) error {
	if len(b.out.Machines)+len(b.out.Bad) >= maxMachines {
		return fmt.Errorf("the inventory has more than %d machines", maxMachines)
	}
	m, why := readMachine(get, tags)
	name := strings.ToLower(m.Name)
	switch {
	case why != "":
	case b.keys[m.Key()] != "":
		why = fmt.Sprintf("%q stands at %s already", m.Key(), b.keys[m.Key()])
	case b.names[name] != "":
		why = fmt.Sprintf("the name %q stands at %s already", m.Name, b.names[name])
	}
	if why != "" {
		b.out.Bad = append(b.out.Bad, BadRow{Where: where, Key: m.Key(), Name: m.Name, Why: why})
		return nil
	}
	b.keys[m.Key()], b.names[name] = where, where
	b.out.Machines = append(b.out.Machines, m)
	return nil
}

// readMachine makes a machine of field values; why says what is wrong with them.
func readMachine(get func(string) string, tags []string) (m Machine, why string) {
	problem := func(format string, args ...any) {
		if why == "" {
			why = fmt.Sprintf(format, args...)
		}
	}
	text := func(field string) string {
		v := strings.TrimSpace(get(field))
		if len(v) > maxMachineText || !utf8.ValidString(v) {
			problem("%s is no text, or longer than %d bytes", field, maxMachineText)
			return ""
		}
		return noControl(v)
	}
	m = Machine{
		ID: text("id"), Name: text("name"), Host: text("host"), IP: text("ip"), OS: text("os"), OU: text("ou"),
		Description: text("description"), Protocol: strings.ToLower(text("protocol")),
	}
	mac, err := parseMAC(text("mac"))
	if m.MAC = mac; err != nil {
		problem("%v", err)
	}
	if m.Port, err = readPort(text("port")); err != nil {
		problem("%v", err)
	}
	switch v := strings.ToLower(text("enabled")); v {
	case "false", "no", "0", "disabled":
		m.Disabled = true
	case "", "true", "yes", "1", "enabled":
	default:
		problem("%q says neither yes nor no", v)
	}
	if m.Name == "" || len(m.Name) > maxName || !printable(m.Name) {
		problem("the name is empty, longer than %d bytes or not printable", maxName)
	}
	if a, err := netip.ParseAddr(m.IP); err == nil {
		m.IP = a.Unmap().String()
	} else if m.IP != "" {
		problem("%q is no address", m.IP)
	}
	switch {
	case m.Host == "" && m.IP != "":
		m.Host = m.IP
	case m.Host == "":
		m.Host = m.Name
	}
	if !plainHost(m.Host) {
		problem("%q is no host", m.Host)
	}
	var bad string
	if m.Tags, bad = cleanTags(tags); bad != "" {
		problem("%s", bad)
	}
	return m, why
}

// readPort reads a port; empty and 0 are none.
func readPort(v string) (int, error) {
	if v == "" || v == "0" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is no port", v)
	}
	return n, nil
}

// noControl makes every control character a blank.
func noControl(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// cleanTags sorts tags, so that their order in the source changes nothing.
func cleanTags(in []string) (out []string, why string) {
	for _, t := range in {
		t = strings.TrimSpace(t)
		if t == "" {
			continue
		}
		if len(t) > maxName || !printable(t) || strings.Contains(t, ";") {
			return nil, fmt.Sprintf("a tag is longer than %d bytes, not printable or has a \";\"", maxName)
		}
		out = append(out, t)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > maxTags {
		return nil, fmt.Sprintf("it has more than %d tags", maxTags)
	}
	return out, ""
}
