// Package switchcore is the label switch of a node: it forwards frames by
// their switch header alone, without knowing who sends what to whom.
//
// It holds no queues, no peers and no counters. Forward looks up one slot and
// rewrites twelve bytes; errors.go writes the frame that tells a sender why
// that was not possible.
//
//	our name           cjdns                            source file
//	Port, slot         interface number                 switch/SwitchCore.c
//	Self               router interface, number 1       switch/SwitchCore.c
//	Table              SwitchCore.interfaces            switch/SwitchCore.c
//	Down, Up           setInterfaceState                switch/SwitchCore.h
//	Forward            receiveMessage                   switch/SwitchCore.c
//	AppendErrorFrame   sendError                        switch/SwitchCore.c
package switchcore
