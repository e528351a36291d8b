package steer

// Covers says whether a pattern of operators names what or something above it. What may be a
// pattern itself, whose letters are then taken as they are.
func Covers(pattern, what string) bool { return covers(pattern, what) }
