package daemon

import (
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/netio"
)

// smallBoard is the memory, in bytes, below which batches are small and the
// garbage collector is told to keep the heap low.
const smallBoard = 256 << 20

// batchSize chooses how many packets move at once by the memory of the board.
func batchSize() int {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil && uint64(info.Totalram)*uint64(info.Unit) < smallBoard {
		debug.SetMemoryLimit(12 << 20)
		return netio.SmallBatch
	}
	return netio.DefaultBatch
}
