package admin

import (
	"context"
	"time"
)

// maxConfirm bounds the countdown of config.apply, in seconds.
const maxConfirm = 86400

func addConfigMethods(r *Registry, b Backend) {
	// add adds methods of which most change something.
	add := func(name, summary string, f func(ctx context.Context, a Args) (any, error), args ...Arg) {
		r.Add(Method{Name: name, Summary: summary, Args: args, Local: name == "config.store",
			ReadOnly: name == "config.diff" || name == "events" || name == "doctor",
			Handle: func(ctx context.Context, a Args) (any, error) {
				result, err := f(ctx, a)
				return result, configError(err)
			}})
	}
	add("config.diff", "what a reload would change", func(ctx context.Context, _ Args) (any, error) { return b.ConfigDiff(ctx) })
	add("config.apply", "reload; with a countdown, take it back unless it is confirmed", func(ctx context.Context, a Args) (any, error) {
		return b.ConfigTrial(ctx, TrialApply, time.Duration(a.Int("confirm"))*time.Second)
	}, Arg{Name: "confirm", Type: Int, Max: maxConfirm, Help: "seconds of the countdown; 0 for none"})
	add("config.confirm", "keep the configuration that was applied with a countdown", func(ctx context.Context, _ Args) (any, error) {
		_, err := b.ConfigTrial(ctx, TrialConfirm, 0)
		return struct{}{}, err
	})
	add("config.revert", "take back the configuration that was applied with a countdown", func(ctx context.Context, _ Args) (any, error) {
		return b.ConfigTrial(ctx, TrialRevert, 0)
	})
	add("config.store", "what root is to write into the configuration, for: meshagent config store", func(ctx context.Context, a Args) (any, error) {
		return b.ConfigStore(ctx, a.Bool("done"), a.String("refused"))
	}, Arg{Name: "done", Type: Bool, Help: "it is written"}, Arg{Name: "refused", Type: String, Max: 1000, Help: "why it is not"})
	add("events", "what has happened last", func(_ context.Context, a Args) (any, error) {
		return EventList{b.Events(uint64(a.Int("after")), int(a.Int("limit")))}, nil //nolint:gosec // checked by Max
	}, Arg{Name: "after", Type: Int, Max: 1 << 53, Help: "number of the last event that is known"},
		Arg{Name: "limit", Type: Int, Max: 1 << 30, Help: "how many to list at most, the newest; 0 for all"})
	add("doctor", "check the node and what it needs", func(ctx context.Context, _ Args) (any, error) { return b.Doctor(ctx) })
}
