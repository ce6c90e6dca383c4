// Command wgpeer is one end of a wireguard-go tunnel, to measure beside ours.
// It is a module of its own, so that the agent's module does not depend on
// wireguard-go.
//
//	wgpeer DEVICE MTU CONFIG
//
// CONFIG is a file with the lines of WireGuard's configuration protocol:
// private_key, listen_port, public_key, endpoint, allowed_ip. It runs until it
// is terminated; addresses are given to the device from outside.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "wgpeer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: wgpeer DEVICE MTU CONFIG")
	}
	mtu, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	t, err := tun.CreateTUN(args[0], mtu)
	if err != nil {
		return err
	}
	d := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, ""))
	defer d.Close()
	if err := d.IpcSet(string(text)); err != nil {
		return err
	}
	if err := d.Up(); err != nil {
		return err
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	<-c
	return nil
}
