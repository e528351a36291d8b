package api

import "switchpoint/broker"

// For tests in package api_test.

// SetLogins puts a script in the place of the broker's logins.
func (s *Server) SetLogins(l logins) { s.logins = l }

// StatusOf is the HTTP status of a refusal.
func StatusOf(code string) int { return statusOf(code) }

// LoginAnswer is the wire form of a login step.
func LoginAnswer(res broker.LoginResult) (int, LoginResponse) { return loginAnswer(res) }

// AtHome and OfHome mark what a home cluster gave.
func AtHome(destination, secret string) string { return atHome(destination, secret) }

// OfHome takes apart what AtHome made.
func OfHome(text string) (destination, secret string, ok bool) { return ofHome(text) }
