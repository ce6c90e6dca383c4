// Package cjdns is the vocabulary of the overlay: keys, addresses, labels and
// the byte formats of the cjdns protocol, and nothing that remembers or
// decides. It follows cjdns 20.7 and, where said, 22.3. One format has one
// file; each type says where its rule is found in the source of cjdns.
//
// Parsers take bytes from anybody: they check every length, return a sentinel
// error and never panic. What they return aliases their input if it is a
// slice. Append methods write behind a slice and return the longer one.
// Headers, control frames and routing messages are parsed and written without
// allocation; signing and announcements allocate.
//
//	our name             cjdns                              source file
//	Key, IP              public key, IPv6 address           crypto/AddressCalc.c, util/Base32
//	NodeAddr             Address, node text                 dht/Address.c
//	Label                path, route label                  switch/LabelSplicer.h
//	Splice, Unsplice     LabelSplicer_splice, _unsplice     switch/LabelSplicer.h
//	RoutesThrough        LabelSplicer_routesThrough         switch/LabelSplicer.h
//	director             discriminator, director            switch/EncodingScheme.c
//	slot, port           interface number                   switch/NumberCompress.h
//	EncodingScheme       EncodingScheme                     switch/EncodingScheme.c
//	V358                 v3x5x8                             switch/NumberCompress.h
//	PortDirector         getCompressed                      switch/NumberCompress.h
//	PortOf               getDecompressed                    switch/NumberCompress.h
//	LabelFor             getLabelFor                        switch/NumberCompress.h
//	SwitchHeader         SwitchHeader                       wire/SwitchHeader.h
//	TrafficClass         trafficClass (in cjdnshdr penalty) wire/SwitchHeader.h
//	CryptoHeader         CryptoHeader                       wire/CryptoHeader.h
//	TempKey              encryptedTempKey                   wire/CryptoHeader.h
//	DataHeader           DataHeader                         wire/DataHeader.h
//	content type         ContentType                        wire/ContentType.h
//	Control              Control                            wire/Control.h
//	ErrorCode            Error                              wire/Error.h
//	Beacon, UDPBeacon    Headers_Beacon, broadcast header   wire/Headers.h, interface/UDPInterface.c
//	EthHeader            ETHInterface_Header                interface/ETHInterface.c
//	Message              DHT message, subnode message       dht/, subnode/MsgCore.c
//	BencReader           BencMessageReader                  benc/serialization/standard
//	Snode                supernode                          subnode/SupernodeHunter.c
//	Announcement         Announce                           wire/Announce.h
//	StateHash            snode state hash                   subnode/ReachabilityAnnouncer.c
//	SigningKey           Sign key pair                      crypto/Sign.c
package cjdns
