package steer

// Values of Name.Method.
const (
	MethodRoundRobin = "round-robin"
	MethodWeighted   = "weighted"
	MethodFailover   = "failover"
	MethodHash       = "hash"
	MethodLeastLoad  = "least-load"
)

// Values of Name.Between.
const (
	BetweenTopology = "topology"
	BetweenFailover = "failover"
	BetweenWeighted = "weighted"
	BetweenMode     = "mode"
)

// Values of Name.AllDown.
const (
	AllDownLastGood = "last-good"
	AllDownAll      = "all"
	AllDownFallback = "fallback"
	AllDownNoData   = "nodata"
	AllDownServFail = "servfail"
)

// Values of Service.Target.
const (
	TargetMembers = "members"
	TargetName    = "name"
)

// MaxAnswers is how many addresses one answer may have.
const MaxAnswers = 64
