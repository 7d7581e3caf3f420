package import ChimeraBytes
internal import ChimeraHTTPCore

/// Encodes field blocks (RFC 7541).
///
/// A field goes into the dynamic table when it is sent a second time: what changes from message to message never
/// drives out what does not. The memory of what was seen has one slot for each hash, so a look costs one comparison.
package struct FieldEncoder: ~Copyable {
    private struct Seen {
        var hash: UInt32 = 0
        /// The number of its insertion, from 1; 0 where it is in no table.
        var inserted: UInt32 = 0
    }

    private var table: DynamicTable
    /// What we use of the peer's table, in octets.
    private let tableBytesMax: Int
    /// The smallest and the last limit since the last block, which have to be said (RFC 7541 §4.2).
    private var resizes: (smallest: Int, last: Int)?
    private var seen = ContiguousArray(repeating: Seen(), count: 64)
    /// Goes up with each change of the tables and of what was seen: as long as it stays, the same fields are encoded to
    /// the same octets.
    package private(set) var changes: UInt64 = 0
    private let huffman = HuffmanCode.shared
    private let statics = StaticTable.shared
    private let known = KnownNames.shared

    /// Octets of a cookie that may be guessed, so that no table shows whether one is right (RFC 7541 §7.1.3).
    private static let shortCookieMax = 20

    package init(tableBytesMax: Int = 4096) {
        self.tableBytesMax = tableBytesMax
        // RFC 9113 §6.5.2: the peer's table has 4,096 octets until it says otherwise. Using less of it needs no words:
        // an index counts from the newest entry.
        table = DynamicTable(sizeMax: min(4096, tableBytesMax))
    }

    /// How many entries the dynamic table has, and what they count together in octets.
    package var tableFacts: (count: Int, size: Int) { (table.count, table.size) }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    package mutating func limitTable(_ octets: Int) {
        let size = min(octets, tableBytesMax)
        if size == table.sizeMax && resizes == nil { return }
        changes &+= 1
        resizes = (min(size, resizes?.smallest ?? size), size)
        table.resize(to: size)
    }

    /// Begins a block: says what changed of the table's size.
    package mutating func begin(_ output: ByteBuffer) {
        guard let resizes else { return }
        if resizes.smallest < resizes.last { append(resizes.smallest, prefix: 5, 0x20, output) }
        append(resizes.last, prefix: 5, 0x20, output)
        self.resizes = nil
    }

    /// Encodes the pseudo-field of a response (RFC 9113 §8.3.2).
    package mutating func encode(status: Int, _ output: ByteBuffer) {
        precondition(status >= 100 && status <= 999)
        switch status {
        case 200: output.append(0x88)
        case 204: output.append(0x89)
        case 206: output.append(0x8A)
        case 304: output.append(0x8B)
        case 400: output.append(0x8C)
        case 404: output.append(0x8D)
        case 500: output.append(0x8E)
        default:
            let digits: InlineArray<3, UInt8> = [
                UInt8(48 + status / 100), UInt8(48 + status / 10 % 10), UInt8(48 + status % 10),
            ]
            encode(.status, digits.span, output)
        }
    }

    /// Encodes the pseudo-field of a method (RFC 9113 §8.3.1).
    package mutating func encode(method: Span<UInt8>, _ output: ByteBuffer) {
        if method.equals("GET") { return output.append(0x82) }
        if method.equals("POST") { return output.append(0x83) }
        encode(.method, method, output)
    }

    /// Encodes the pseudo-field of a scheme (RFC 9113 §8.3.1): https or http.
    package mutating func encode(isSecure: Bool, _ output: ByteBuffer) {
        output.append(isSecure ? 0x87 : 0x86)
    }

    /// Encodes the pseudo-field of a path (RFC 9113 §8.3.1).
    package mutating func encode(path: Span<UInt8>, _ output: ByteBuffer) {
        if path.equals("/") { return output.append(0x84) }
        encode(.path, path, output)
    }

    /// Encodes a field whose name is in a table.
    package mutating func encode(_ name: WireName, _ value: Span<UInt8>, _ output: ByteBuffer) {
        precondition(!name.needsText)
        encode(name, Span(), value, output)
    }

    /// Encodes a field whose name is in no table; in whatever case it is written, it is sent in small letters.
    package mutating func encode(name: Span<UInt8>, _ value: Span<UInt8>, _ output: ByteBuffer) {
        encode(.other, name, value, output)
    }

    private mutating func encode(
        _ wireName: WireName, _ name: Span<UInt8>, _ value: Span<UInt8>, _ output: ByteBuffer
    ) {
        output.reserve(name.count + value.count + 64)
        if isSensitive(wireName, value) {
            return appendLiteral(wireName, name, value, pattern: 0x10, prefix: 4, output)
        }
        let hash = Self.hash(wireName, name, value)
        let slot = place(of: hash)
        let before = seen[slot]
        let isSeen = before.hash == hash
        if isSeen, let index = index(of: before, wireName, name, value) {
            return append(index, prefix: 7, 0x80, output)
        }
        if !isSeen || before.inserted != 0 {
            changes &+= 1
            seen[slot] = Seen(hash: hash)
        }
        let nameCount = wireName == .other ? name.count : wireName.count(known)
        // One that would drive half of the table out is not worth it.
        guard isSeen, (nameCount + value.count + 32) * 2 <= table.sizeMax else {
            return appendLiteral(wireName, name, value, pattern: 0, prefix: 4, output)
        }
        appendLiteral(wireName, name, value, pattern: 0x40, prefix: 6, output)
        insert(wireName, name, value, nameCount, hash)
        changes &+= 1
        seen[slot].inserted = UInt32(truncatingIfNeeded: table.inserted)
    }

    /// Where a field was noted, or is to be: at its own place or beside it, so that two fields that share one do not drive
    /// each other out again and again.
    private func place(of hash: UInt32) -> Int {
        let first = Int(hash & 63)
        if seen[first].hash == hash || seen[first].hash == 0 { return first }
        let second = first ^ 1
        return seen[second].hash == hash || seen[second].hash == 0 ? second : first
    }

    /// RFC 7541 §7.1.3: what an attacker who can try values may not learn.
    private func isSensitive(_ name: WireName, _ value: Span<UInt8>) -> Bool {
        switch name.field {
        case .authorization, .proxyAuthorization, .setCookie: true
        case .cookie: value.count < Self.shortCookieMax
        default: false
        }
    }

    /// The index of a field that was inserted, if it is still there and the same.
    private func index(of seen: Seen, _ wireName: WireName, _ name: Span<UInt8>, _ value: Span<UInt8>) -> Int?
    {
        // Modulo 2³²: an older entry of the same number would have another hash, and is compared in any case.
        let age = Int(UInt32(truncatingIfNeeded: table.inserted) &- seen.inserted)
        guard seen.inserted > 0, let entry = table.entry(age: age),
            entry.hash == seen.hash, entry.name == wireName, entry.valueCount == value.count
        else { return nil }
        let octets = Span(_unsafeElements: table.octets(of: entry))
        guard octets.extracting(entry.nameCount..<octets.count).equals(value),
            entry.nameCount == 0 || octets.extracting(0..<entry.nameCount).equalsIgnoringCase(name)
        else { return nil }
        return StaticTable.count + 1 + age
    }

    private mutating func insert(
        _ wireName: WireName, _ name: Span<UInt8>, _ value: Span<UInt8>, _ nameCount: Int, _ hash: UInt32
    ) {
        name.withUnsafeBufferPointer { name in
            value.withUnsafeBufferPointer { value in
                table.insert(wireName, name: name, nameCount: nameCount, value: value, hash: hash)
            }
        }
    }

    // MARK: Writing; the room was reserved

    /// RFC 7541 §6.2: the pattern says whether the field goes into the table, or must never do.
    private func appendLiteral(
        _ wireName: WireName, _ name: Span<UInt8>, _ value: Span<UInt8>, pattern: UInt8, prefix: Int,
        _ output: ByteBuffer
    ) {
        let index = statics.index(of: wireName)
        append(index, prefix: prefix, pattern, output)
        if index == 0 {
            if wireName == .other {
                appendLowered(name, output)
            } else {
                let text = wireName.text
                appendLowered(Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount), output)
            }
        }
        appendString(value, output)
    }

    /// RFC 7541 §5.1.
    private func append(_ value: Int, prefix: Int, _ pattern: UInt8, _ output: ByteBuffer) {
        let mask = (1 << prefix) - 1
        guard value >= mask else { return output.append(pattern | UInt8(truncatingIfNeeded: value)) }
        output.append(pattern | UInt8(truncatingIfNeeded: mask))
        var rest = value - mask
        while rest >= 128 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(truncatingIfNeeded: rest))
    }

    /// RFC 7541 §5.2: coded where that is shorter.
    private func appendString(_ text: Span<UInt8>, _ output: ByteBuffer) {
        let coded = huffman.encodedCount(text)
        guard coded < text.count else {
            append(text.count, prefix: 7, 0, output)
            return output.append(text)
        }
        append(coded, prefix: 7, 0x80, output)
        guard let room = output.writable.baseAddress else { return }
        output.commit(huffman.encode(text, to: room.assumingMemoryBound(to: UInt8.self)))
    }

    /// RFC 9113 §8.2: names are sent in small letters.
    private func appendLowered(_ name: Span<UInt8>, _ output: ByteBuffer) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, name.count)) { lowered in
            for index in 0..<name.count { lowered[index] = name[index].lowercased }
            appendString(
                Span(_unsafeElements: UnsafeMutableBufferPointer(rebasing: lowered[..<name.count])), output)
        }
    }

    /// Of name and value, never 0. Not against someone who looks for collisions: those cost a field its place alone.
    private static func hash(_ wireName: WireName, _ name: Span<UInt8>, _ value: Span<UInt8>) -> UInt32 {
        var hash = UInt64(wireName.rawValue) &+ 0x9E37_79B9_7F4A_7C15
        mix(&hash, name, isLowered: true)
        mix(&hash, value, isLowered: false)
        hash ^= hash &>> 32
        return UInt32(truncatingIfNeeded: hash) | 1 &<< 31
    }

    private static func mix(_ hash: inout UInt64, _ text: Span<UInt8>, isLowered: Bool) {
        let letters: UInt64 = isLowered ? 0x2020_2020_2020_2020 : 0
        let bytes = text.bytes
        var index = 0
        while index + 8 <= bytes.byteCount {
            // Sound: eight octets from index lie within the span, and any bits make an integer.
            let word = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            hash = (hash ^ (word | letters)) &* 0x9FB2_1C65_1E98_DF25
            hash ^= hash &>> 29
            index += 8
        }
        var rest = UInt64(truncatingIfNeeded: text.count)
        while index < text.count {
            rest = rest &<< 8 | UInt64(text[index]) | letters & 0xFF
            index += 1
        }
        hash = (hash ^ rest) &* 0x9FB2_1C65_1E98_DF25
        hash ^= hash &>> 32
    }
}
