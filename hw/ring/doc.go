// Package ring holds the tests of whole agents between network namespaces:
// what a user would see with ping, kill and ip. They need root and the build
// tag netns:
//
//	make netns
//
// or, for one of them,
//
//	go test -tags netns -c -o ring.test ./hw/ring && sudo ./ring.test -test.v -test.run Recover
//
// The agent under test is the program named by MESHAGENT; without it the test
// builds one. The interop tests need a real cjdroute, named by CJDROUTE, and
// are skipped without.
//
// Files: ring_test.go has what the others share; link_test.go the ordinary
// life on UDP, Ethernet and chains; fault_test.go loss, reordering, MTU and
// replays; recover_test.go restarts, new addresses and lost interfaces;
// hostile_test.go wrong passwords and floods; host_test.go what goes wrong on
// the host itself; interop_test.go the real cjdroute; topology_test.go stars,
// circles and NAT, with stock nodes in interoptopology_test.go;
// routeserver_test.go and query_test.go supernodes and what is asked of them;
// mesh_test.go and meshhostile_test.go the mesh.
package ring
