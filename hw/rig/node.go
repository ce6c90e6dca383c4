package rig

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is one network namespace: a host of the network.
type Node struct {
	Name string // as given to Rig.Node, for logs
	NS   string // name of the namespace, as ip netns lists it

	rig *Rig
}

// Node makes a namespace with its loopback up.
func (r *Rig) Node(name string) *Node {
	n := &Node{Name: name, NS: r.ID + "-" + name, rig: r}
	r.ip("netns", "add", n.NS)
	r.mu.Lock()
	r.nodes = append(r.nodes, n)
	r.mu.Unlock()
	n.IP("link", "set", "lo", "up")
	return n
}

// IP runs ip inside the namespace and fails the rig if it does.
func (n *Node) IP(args ...string) {
	n.rig.ip(append([]string{"-n", n.NS}, args...)...)
}

// Do runs f on a thread inside the namespace. Sockets that f opens stay in
// the namespace; goroutines that it starts are not.
func (n *Node) Do(f func() error) error {
	res := make(chan error, 1)
	go func() {
		// The thread ends with this goroutine: it is never unlocked, so no
		// other goroutine can find itself in the namespace.
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+n.NS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err != nil {
			res <- fmt.Errorf("enter namespace %s: %w", n.NS, err)
			return
		}
		res <- f()
	}()
	return <-res
}

// Listen opens a TCP or unix listener inside the namespace.
func (n *Node) Listen(network, addr string) (l net.Listener, err error) {
	err = n.Do(func() (err error) { l, err = net.Listen(network, addr); return err })
	return l, err
}

// DialUDP opens a UDP socket inside the namespace, connected to addr.
func (n *Node) DialUDP(addr string) (c net.Conn, err error) {
	err = n.Do(func() (err error) { c, err = net.Dial("udp", addr); return err })
	return c, err
}

// Sysctl writes a value below /proc/sys/net, for example
// Sysctl("ipv6/conf/eth0/disable_ipv6", "1").
func (n *Node) Sysctl(key, value string) {
	err := n.Do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644) })
	if err != nil {
		n.rig.fail("%v", err)
	}
}

// Hosts writes the /etc/hosts that programs started in the namespace see, one
// "address name" a line. A program that was started after the first call sees
// later calls as well, because the file is written in place.
func (n *Node) Hosts(lines ...string) {
	dir := filepath.Join("/etc/netns", n.NS)
	file := filepath.Join(dir, "hosts")
	n.rig.mu.Lock()
	known := false
	for _, h := range n.rig.hosts {
		known = known || h == file
	}
	if !known {
		n.rig.hosts = append(n.rig.hosts, file)
	}
	n.rig.mu.Unlock()
	text := "127.0.0.1 localhost\n::1 localhost\n" + strings.Join(lines, "\n") + "\n"
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		n.rig.fail("%v", err)
	}
}

// Counters returns the packets and bytes that a device of the namespace has
// received and sent.
func (n *Node) Counters(dev string) (c Counters, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/net/dev", os.Getpid(), unix.Gettid()))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
			if !ok || name != dev {
				continue
			}
			var skip uint64
			_, err := fmt.Sscan(rest, &c.RxBytes, &c.RxPackets, &skip, &skip, &skip, &skip, &skip, &skip, &c.TxBytes, &c.TxPackets)
			return err
		}
		return fmt.Errorf("no device %s in %s", dev, n.NS)
	})
	return c, err
}

// Counters are totals of one device since it was made.
type Counters struct{ RxPackets, RxBytes, TxPackets, TxBytes uint64 }
