/// An IPv4 or IPv6 address.
///
/// Held as the 128 bits of an IPv6 address in network order; an IPv4 address is held in its mapped form
/// `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2). So a client that arrives as IPv4 on an IPv6 socket is the same address as one
/// that arrives on an IPv4 socket, and no comparison can forget that.
package struct IPAddress: Hashable, Sendable {
    /// The first eight bytes, big-endian.
    package let high: UInt64
    /// The last eight bytes, big-endian.
    package let low: UInt64

    /// The address with these 128 bits. A mapped IPv4 address is an IPv4 address afterwards.
    @inlinable @inline(__always)
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The IPv4 address whose four bytes are `v4` in host order: `0x7f00_0001` is 127.0.0.1.
    @inlinable @inline(__always)
    package init(v4: UInt32) {
        high = 0
        low = 0xffff_0000_0000 | UInt64(v4)
    }

    /// Reads `192.0.2.1` or `2001:db8::1` (RFC 4291 §2.2), without brackets, port or zone. Nil for anything else; an
    /// IPv4 part with a leading zero is refused, since some readers take it for octal.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        self.init(parsing: bytes.span)
    }

    /// As `init(_:)`, from bytes.
    package init?(parsing text: Span<UInt8>) {
        guard let parsed = AddressReader.address(text) else { return nil }
        self = parsed
    }

    /// True for an IPv4 address, mapped ones included.
    @inlinable @inline(__always)
    package var isV4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The four bytes of an IPv4 address in host order; nil for IPv6.
    @inlinable @inline(__always)
    package var v4: UInt32? { isV4 ? UInt32(truncatingIfNeeded: low) : nil }

    /// 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        if let v4 { return v4 >> 24 == 127 }
        return high == 0 && low == 1
    }
}

extension IPAddress: CustomStringConvertible {
    /// The canonical text: dotted for IPv4, RFC 5952 for IPv6, never with brackets.
    package var description: String {
        let text = ByteBuffer(capacity: 48)
        text.append(self)
        return String(decoding: text.pending, as: UTF8.self)
    }
}

/// A block of addresses: an address and how many of its leading bits count (RFC 4632, RFC 4291 §2.3).
package struct CIDR: Hashable, Sendable {
    /// The first address of the block: bits past the prefix are zero.
    package let address: IPAddress
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    package let prefixLength: Int

    @usableFromInline let highMask: UInt64
    @usableFromInline let lowMask: UInt64

    /// The block around `address`; nil where the prefix is longer than the address. Bits past it are cleared.
    package init?(_ address: IPAddress, prefixLength: Int) {
        guard prefixLength >= 0, prefixLength <= (address.isV4 ? 32 : 128) else { return nil }
        let bits = prefixLength + (address.isV4 ? 96 : 0)
        highMask = Self.mask(min(bits, 64))
        lowMask = Self.mask(max(bits - 64, 0))
        self.address = IPAddress(high: address.high & highMask, low: address.low & lowMask)
        self.prefixLength = prefixLength
    }

    /// The block of this one address.
    package init(_ address: IPAddress) {
        self.address = address
        prefixLength = address.isV4 ? 32 : 128
        highMask = .max
        lowMask = .max
    }

    /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address alone; nil for anything else.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        self.init(parsing: bytes.span)
    }

    /// As `init(_:)`, from bytes. A mapped block (`::ffff:10.0.0.0/104`) is the IPv4 block.
    package init?(parsing text: Span<UInt8>) {
        guard let slash = (0..<text.count).first(where: { text[$0] == UInt8(ascii: "/") }) else {
            guard let address = IPAddress(parsing: text) else { return nil }
            self.init(address)
            return
        }
        let addressText = text.extracting(0..<slash)
        guard let address = IPAddress(parsing: addressText),
            var length = AddressReader.decimal(text.extracting((slash + 1)..<text.count), atMost: 128)
        else { return nil }
        let isMapped = address.isV4 && (0..<slash).contains { text[$0] == UInt8(ascii: ":") }
        if isMapped { length -= 96 }
        self.init(address, prefixLength: length)
    }

    /// Whether `other` lies in this block. An IPv4 address lies in IPv4 blocks only.
    @inlinable @inline(__always)
    package func contains(_ other: IPAddress) -> Bool {
        other.high & highMask == address.high && other.low & lowMask == address.low
            && other.isV4 == address.isV4
    }

    /// The first `bits` of 64 set.
    private static func mask(_ bits: Int) -> UInt64 {
        bits == 0 ? 0 : UInt64.max << UInt64(64 - bits)
    }
}

extension CIDR: CustomStringConvertible {
    package var description: String { "\(address)/\(prefixLength)" }
}

/// The text forms of addresses, read byte by byte.
private enum AddressReader {
    static func address(_ text: Span<UInt8>) -> IPAddress? {
        // The longest form is an IPv6 address with an IPv4 tail, 45 bytes.
        guard text.count >= 2, text.count <= 45 else { return nil }
        for index in 0..<text.count where text[index] == UInt8(ascii: ":") { return v6(text) }
        return v4(text, from: 0).map { IPAddress(v4: $0) }
    }

    /// One to three digits without a leading zero, and no more than `limit`.
    static func decimal(_ text: Span<UInt8>, atMost limit: Int) -> Int? {
        guard text.count >= 1, text.count <= 3, text.count == 1 || text[0] != UInt8(ascii: "0") else {
            return nil
        }
        var value = 0
        for index in 0..<text.count {
            guard case UInt8(ascii: "0")...UInt8(ascii: "9") = text[index] else { return nil }
            value = value * 10 + Int(text[index] - UInt8(ascii: "0"))
        }
        return value <= limit ? value : nil
    }

    static func v4(_ text: Span<UInt8>, from start: Int) -> UInt32? {
        var value: UInt32 = 0
        var parts = 0
        var begin = start
        for index in start...text.count where index == text.count || text[index] == UInt8(ascii: ".") {
            guard parts < 4, let part = decimal(text.extracting(begin..<index), atMost: 255) else {
                return nil
            }
            value = value << 8 | UInt32(part)
            parts += 1
            begin = index + 1
        }
        return parts == 4 ? value : nil
    }

    /// RFC 4291 §2.2: up to eight groups, at most one `::`, perhaps an IPv4 tail in place of the last two groups.
    static func v6(_ text: Span<UInt8>) -> IPAddress? {
        var groups: [UInt16] = []
        var gap: Int?
        var index = 0
        if text[0] == UInt8(ascii: ":") {
            guard text[1] == UInt8(ascii: ":") else { return nil }
            gap = 0
            index = 2
        }
        while index < text.count {
            var end = index
            while end < text.count, text[end] != UInt8(ascii: ":"), text[end] != UInt8(ascii: ".") {
                end += 1
            }
            if end < text.count, text[end] == UInt8(ascii: ".") {
                guard let tail = v4(text, from: index) else { return nil }
                groups += [UInt16(tail >> 16), UInt16(tail & 0xffff)]
                return assemble(groups, gap: gap)
            }
            guard let group = hexadecimal(text.extracting(index..<end)), groups.count < 8 else { return nil }
            groups.append(group)
            guard end < text.count else { break }
            index = end + 1
            guard index < text.count else { return nil }
            if text[index] == UInt8(ascii: ":") {
                guard gap == nil else { return nil }
                gap = groups.count
                index += 1
            }
        }
        return assemble(groups, gap: gap)
    }

    private static func hexadecimal(_ text: Span<UInt8>) -> UInt16? {
        guard text.count >= 1, text.count <= 4 else { return nil }
        var value: UInt16 = 0
        for index in 0..<text.count {
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt16(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt16(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                value = value << 4 | UInt16(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }

    private static func assemble(_ groups: [UInt16], gap: Int?) -> IPAddress? {
        var all = groups
        if let gap {
            // `::` stands for at least one group.
            guard groups.count < 8 else { return nil }
            all.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard all.count == 8 else { return nil }
        let high = all[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        let low = all[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        return IPAddress(high: high, low: low)
    }
}
