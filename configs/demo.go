package configs

import "embed"

//go:embed demo
var demoFiles embed.FS

// Demo holds the files of the demo, below "demo/": one configuration for each of its processes,
// the setup of each cluster ("demo/us.broker.toml") and the zone. They are complete but for
// what only a start can make: certificates under certs/, the password of the directory at
// secrets/ldap, and the keys of the peers, which stand in them as "KEY-OF-" and the name of
// the node.
//
// Each certificate has to name the address of its role besides its host names, since probes
// verify the address that they dial.
func Demo() embed.FS { return demoFiles }

//go:embed demo-cluster
var demoClusterFiles embed.FS

// DemoCluster holds the files of the cluster demo, below "demo-cluster/", as Demo does. broker.toml
// is written once for each broker, with its number in the place of "NUMBER"; what a start has to make
// besides is the password of the database at secrets/postgres.
func DemoCluster() embed.FS { return demoClusterFiles }
