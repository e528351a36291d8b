//go:build !race

package outage

// loginsPerSecond is the pace of the logins that go on through an outage.
const loginsPerSecond = 100
