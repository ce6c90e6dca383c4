# Makes token.txt by the table in docs/protocol/community.md.
import base64, hashlib, struct

alphabet = "0123456789bcdfghjklmnpqrstuvwxyz"  # cjdns, least significant bit first
acc = sum(alphabet.index(c) << 5 * i for i, c in enumerate("p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0"))
key = acc.to_bytes(33, "little")[:32]

b = bytes([1, 1]) + bytes(range(32)) + bytes(range(1, 9)) + bytes(range(0xF0, 0x100))
b += struct.pack(">IBB", 1800000000, 1, 1) + key
for text in (b"demo", b"192.0.2.10:25381"):
    b += bytes([len(text)]) + text
b += hashlib.sha256(b).digest()[:4]
print("MESH1:" + base64.b32encode(b).decode().rstrip("="))
