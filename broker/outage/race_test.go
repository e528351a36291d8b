//go:build race

package outage

// loginsPerSecond is the pace of the logins that go on through an outage: SQLite takes ten times as long here.
const loginsPerSecond = 10
