//go:build !race

package outage

// loginsEvery is the pace of the logins that go on through an outage, in milliseconds.
const loginsEvery = 10
