package demodir

// Where the demo's entries stand.
const (
	BaseDN = "dc=company,dc=com"
	// ServiceDN is the account that may search, with ServicePassword.
	ServiceDN       = "cn=switchpoint,dc=company,dc=com"
	ServicePassword = "switchpoint-demo"
)

// User is one made-up user.
type User struct {
	Name     string // uid, what one signs in with
	Password string
	DN       string
	Groups   []string // their DNs, memberOf of the entry
	Note     string   // what the user shows in the demo
}

const (
	engineering = "cn=Engineering,ou=Groups,dc=company,dc=com"
	finance     = "cn=Finance,ou=Groups,dc=company,dc=com"
)

// Users lists everybody who can sign in.
func Users() []User {
	return []User{
		{"alice", "alice-demo", "uid=alice,OU=Staff,OU=US,dc=company,dc=com", []string{engineering}, "staff of the US: always sent home"},
		{"bob", "bob-demo", "uid=bob,OU=Staff,OU=UK,dc=company,dc=com", []string{finance}, "staff of the UK, has a desktop there"},
		{"carol", "carol-demo", "uid=carol,OU=Travellers,OU=US,dc=company,dc=com", []string{finance}, "of the US without a desktop there: served where she is"},
		{"dave", "dave-demo", "uid=dave,OU=Staff,OU=UK,dc=company,dc=com", []string{engineering}, "staff of the UK, takes any free desktop"},
		{"erin", "erin-demo", "uid=erin,OU=Travellers,OU=US,dc=company,dc=com", []string{engineering, finance}, "of the US with a desktop there: sent home"},
	}
}
