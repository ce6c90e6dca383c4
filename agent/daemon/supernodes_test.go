package daemon

import (
	"testing"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/pathfinder"
)

// The configuration warns of sections for which the node has no room.
func TestRoomForSupernodes(t *testing.T) {
	if config.MaxSupernodes != pathfinder.MaxSupernodes {
		t.Errorf("%d sections are used, but there is room for %d", config.MaxSupernodes, pathfinder.MaxSupernodes)
	}
}
