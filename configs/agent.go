package configs

import "switchpoint/broker/agent"

// LoadAgent reads the file of an agent. Every problem is in the error, with its line.
func LoadAgent(path string) (agent.Config, error) {
	var c agent.Config
	text, problems := readText(path)
	if problems != nil {
		return c, problems
	}
	f := parse(path, text, &c)
	if f.parsed {
		f.add("", c.Validate())
	}
	return c, f.problems.err(path)
}
