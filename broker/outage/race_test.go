//go:build race

package outage

// loginsEvery is the pace of the logins that go on through an outage: SQLite takes ten times as long here.
const loginsEvery = 100
