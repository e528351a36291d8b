// Package sites reads Active Directory Sites and Subnets: which site a client's address belongs to,
// and which other sites are near to it, as the network's own administrators wrote it down (GT4).
//
// The objects stand in the Configuration partition that all domains of a forest share
// (MS-ADTS 6.1.1.2.2): sites, subnets (a prefix and the site that it belongs to), and site links
// with a cost. They come over LDAP (Read), or from a file where the directory cannot be asked:
// LDIF of ldifde, ldapsearch or ldbsearch (ReadLDIF), or the CSV of Get-ADReplicationSubnet
// (readCSV, which has no links). All three end in the one pure function newSet; a Set never changes.
//
// A Watcher reads again and again:
//
//	            read: few changes, or the first import
//	          +-----------------------------------------+
//	          v                                         |
//	(none) current <---- Approve ---- pending <---- poll every Refresh
//	          |                          ^              |
//	          |                          +--------------+ read: more than ApproveAbove subnets change
//	          +--> state_dir/ad-sites.json, read at the start
//
// Invariants:
//
//   - One bad object never costs the others: it is left out and stands in Problems, in words.
//   - A set without any site is an error, not an empty topology: an account that may not read
//     the partition sees nothing, and so does a search in the wrong place.
//   - The order of what is read does not matter: the same objects give the same Set.
//   - Site names are compared as the directory does, without regard to case.
//
// Failure rules: a failed poll keeps the last good copy, says so once for each different error and
// counts it. A password that a server refused is not tried on another, so that a wrong one locks no
// service account. A state file that cannot be used is set aside, never deleted.
package sites
