package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
)

// A trial is a configuration that was applied and waits to be confirmed. If
// nobody does so in time, the one before is in force again, and is the file.
//
// It survives a restart by a file beside the key, written when the trial
// begins and deleted when it ends: a line of the boot's identity and of the
// deadline, and the former text of the configuration. After a restart the
// countdown goes on. After a reboot, which may be somebody pulling the plug of
// a router that is out of reach, the former configuration is back at once.
type trial struct {
	former string
	boot   string        // identity of the boot it began in
	until  time.Duration // since that boot
	taken  string        // text that has been taken back; empty while the countdown runs
	asked  time.Time     // when writing it was last tried
	wish   *wish         // for root, if it cannot be written otherwise
}

const (
	trialSuffix  = ".former" // of the file of a trial, behind the name of the key file
	takenSuffix  = ".taken-back"
	rootAskEvery = 15 * time.Second // while the former text cannot be written
)

// sinceBoot is a clock that restarts of the agent and settings of the time of
// day do not touch.
func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)
	return time.Duration(t.Nano())
}

// bootIdentity is another one after each boot.
func bootIdentity() string {
	raw, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw))
}

func (d *Daemon) trialPath() string { return d.cfg.Main.KeyFile + trialSuffix }

// store writes the file of t.
func (t *trial) store(path string) error {
	return writeState(path, []byte(t.boot+" "+strconv.FormatInt(int64(t.until/time.Second), 10)+"\n"+t.former))
}

// readTrial reads the file of a trial; nil if there is none, or none that
// makes sense.
func readTrial(path string) *trial {
	raw, _ := os.ReadFile(path)
	head, former, ok := strings.Cut(string(raw), "\n")
	boot, seconds, ok2 := strings.Cut(head, " ")
	n, err := strconv.ParseInt(seconds, 10, 32)
	if !ok || !ok2 || err != nil {
		return nil
	}
	return &trial{former: former, boot: boot, until: time.Duration(n) * time.Second}
}

// resumeTrial takes up, at the start, a trial of the run before. It returns
// the configuration to begin with.
func (d *Daemon) resumeTrial(loaded *config.Loaded) *config.Loaded {
	t := readTrial(loaded.Config.Main.KeyFile + trialSuffix)
	if t == nil {
		return loaded
	}
	d.trial = t
	if t.boot == bootIdentity() && sinceBoot() < t.until {
		return loaded
	}
	former, err := d.store.Check(t.former)
	if err != nil {
		d.log.Error("the configuration was not confirmed, and the former one cannot be read", "err", err)
		d.trial = nil
		return loaded
	}
	d.log.Warn("the configuration was not confirmed: the former one is taken")
	t.taken = loaded.Text
	return former
}

// left is how much of the countdown is left; 0 if there is none.
func (t *trial) left() time.Duration {
	if t == nil || t.taken != "" {
		return 0
	}
	return max(time.Second, t.until-sinceBoot())
}

// ConfigTrial implements admin.Backend.
func (d *Daemon) ConfigTrial(ctx context.Context, verb admin.TrialVerb, confirm time.Duration) (r admin.ReloadReport, err error) {
	err = d.supervised(ctx, func(ctx context.Context) (err error) {
		switch {
		case verb == admin.TrialApply:
			if confirm > 0 {
				err = d.beginTrial(confirm)
			}
			if err == nil {
				r, err = d.reload(ctx)
			}
		case d.trial.left() == 0:
			err = &admin.Error{Code: admin.CodeNotFound, Text: "no configuration waits to be confirmed"}
		case verb == admin.TrialConfirm:
			d.endTrial()
			d.log.Info("configuration confirmed")
			d.emit("config.confirmed", struct{}{})
		default:
			r, err = d.revert(ctx)
		}
		return err
	})
	return r, err
}

// beginTrial stores what is in force, if the file says something else that
// can be tried.
func (d *Daemon) beginTrial(confirm time.Duration) error {
	after, r, err := d.compare()
	switch {
	case err != nil:
		return err
	case d.trial != nil:
		return admin.Errorf(admin.CodeFailed, "a configuration is on trial already: confirm or revert it first")
	case config.IsCjdroute(after.Text):
		return admin.Errorf(admin.CodeUnsupported, "a cjdroute.conf cannot be applied on trial: it is never written, so the file would not be the one before")
	case !after.Config.Main.Enabled:
		return admin.Errorf(admin.CodeBadArgument, "option enabled is 0: the agent would not be there to take it back; apply it without a countdown")
	case len(r.Changes) == 0:
		return nil
	}
	t := &trial{former: d.text, boot: bootIdentity(), until: sinceBoot() + confirm}
	if err := t.store(after.Config.Main.KeyFile + trialSuffix); err != nil {
		return fmt.Errorf("nothing was applied, the former configuration cannot be kept: %w", err)
	}
	d.trial = t
	return nil
}

// endTrial forgets the trial and its file.
func (d *Daemon) endTrial() {
	t := d.trial
	_ = os.Remove(d.trialPath())
	d.trial = nil
	if t.wish != nil {
		d.setWish(t.wish, nil)
	}
	d.problem("config", "")
}

// revert puts the former configuration in force, and then into the file.
func (d *Daemon) revert(ctx context.Context) (admin.ReloadReport, error) {
	t := d.trial
	r := admin.ReloadReport{Warnings: []string{}}
	former, err := d.store.Check(t.former)
	if err != nil { // it was right when it was stored
		d.endTrial()
		return r, err
	}
	if t.taken, err = d.store.Text(); err != nil || t.taken == "" {
		t.taken = "\n"
	}
	t.until = 0 // a restart must not begin anew
	if err := errors.Join(t.store(d.trialPath()), writeState(d.cfg.Main.KeyFile+takenSuffix, []byte(t.taken))); err != nil {
		d.log.Error("the configuration that is taken back is not kept", "err", err)
	}
	r.Changes = append([]config.Change{}, config.Diff(d.cfg, former.Config)...)
	d.put(ctx, former)
	d.log.Warn("the configuration was not confirmed: the former one is in force again", "changes", changesText(r.Changes))
	d.emit("config.reverted", r)
	d.writeFormer(ctx)
	return r, nil
}

// writeFormer makes the former text the file, by root if it must be.
func (d *Daemon) writeFormer(ctx context.Context) {
	t := d.trial
	if now, err := d.store.Text(); err == nil && now == t.former {
		d.endTrial() // root has done it
		return
	}
	if time.Since(t.asked) < rootAskEvery {
		return
	}
	t.asked = time.Now()
	err := d.store.Replace(t.taken, t.former)
	var u *config.UnwrittenError
	switch {
	case err == nil:
		d.endTrial()
		return
	case errors.Is(err, config.ErrChanged):
		// Somebody has written a third one: a reload decides about it.
		d.endTrial()
		d.problem("config", "the former configuration is in force and was not stored, because somebody has changed the file since: meshagent config diff")
		return
	case errors.As(err, &u):
		first := t.wish == nil
		if w := (&wish{UnwrittenError: u}); d.setWish(t.wish, w) {
			t.wish = w
		}
		d.engine.community.work.Go(func() {
			ctx, stop := context.WithTimeout(ctx, rootPatience)
			defer stop()
			_ = d.bus.ServiceEvent(ctx, rootEvent)
		})
		if first { // it is about to be written
			return
		}
	}
	d.problem("config", fmt.Sprintf("the former configuration is in force, but the file is not: %v; as root: meshagent config store", err))
}

// tickTrial ends a countdown, and tries again to write the file.
func (d *Daemon) tickTrial(ctx context.Context) {
	switch t := d.trial; {
	case t == nil:
	case t.taken != "":
		d.writeFormer(ctx)
	case sinceBoot() >= t.until:
		_, _ = d.revert(ctx)
	}
}
