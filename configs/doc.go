// Package configs is the only reader of TOML in Switchpoint. It turns the file of a process
// (Load) and the broker's own setup (LoadSetup, ParseSetup) into the Config structs of the
// rooms, and holds the sample files that are tested with it.
//
// A file passes through these steps, and every step reports all that it finds:
//
//	bytes -> index (which path stands on which line) -> TOML syntax -> decode into structs
//	      -> defaults and paths of the process -> Validate of each room -> cross references
//	      -> Compile of each room, which opens the files that the configuration names
//
// Invariants:
//   - Reading is strict: an unknown key, a value of the wrong type and a duration without a
//     unit are problems, never ignored and never guessed.
//   - Every problem has a file and a line. A problem of something that is missing stands at the
//     nearest table around it.
//   - A path in a file is relative to the folder of that file; what Load returns is usable
//     from the working directory of the process.
//   - Nothing is half loaded: with one problem or more there is no Config.
//
// Failure rules: no input makes the package panic or recurse without bound (size, nesting and
// key length are limited before the TOML parser sees the text).
package configs
