//go:build netns

package ring

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/hw/rig"
)

// recordDir is where conversations with supernodes are recorded; empty: they
// are not. The files in agent/pathfinder/testdata were made so.
var recordDir = os.Getenv("INTEROP_RECORD")

// record writes what a stock node says to a supernode and hears from it. If it
// is the supernode itself, with the stock route server, that is what all others
// say to it. Each line has ">" for what is said to the supernode or "<" for its
// answer, the address of the other node, and the message.
func record(t *testing.T, stock, snode *rig.Host, name string) {
	t.Helper()
	if recordDir == "" {
		return
	}
	tool, err := stock.Tool(1235)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := stock.Admin("Core_nodeInfo", nil)
	version, _ := info["version"].(int64)
	f, err := os.Create(filepath.Join(recordDir, fmt.Sprintf("%s-v%d.txt", name, max(version, 20))))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "snode %x\n", snode.ID.Key[:])
	done := make(chan struct{})
	t.Cleanup(func() {
		time.Sleep(time.Minute) // for further announcements
		tool.Close()
		<-done
		f.Close()
	})
	go func() {
		defer close(done)
		asked := map[string]bool{}
		for {
			o, err := tool.Next(time.Now().Add(time.Hour))
			if err != nil {
				return
			}
			var m cjdns.Message
			other := o.Other.As16()
			if cjdns.ParseMessage(bytes.Clone(o.Text), &m) != nil || stock != snode && cjdns.IP(other) != snode.ID.Key.IP() ||
				cjdns.IP(other) == stock.ID.Key.IP() || m.SubQuery == "" && !asked[string(m.TxID)] {
				continue
			}
			dir := "<"
			if m.SubQuery != "" {
				dir, asked[string(m.TxID)] = ">", true
			}
			fmt.Fprintf(f, "%s %x %x\n", dir, other, o.Text)
		}
	}()
}
