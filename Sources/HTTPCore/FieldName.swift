internal import ChimeraBytes

/// A field name as a small integer: one of those that a gateway looks at, or `other`, whose bytes then say it.
/// RFC 9110 §5.1: names are case-insensitive, which is settled here once for each field received.
@usableFromInline
package struct FieldName: RawRepresentable, Equatable, Hashable, Sendable {
    @usableFromInline
    package let rawValue: UInt8

    @inlinable @inline(__always)
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable
    package static func == (left: FieldName, right: FieldName) -> Bool { left.rawValue == right.rawValue }

    /// A name that is not in the table.
    @inlinable
    package static var other: FieldName { FieldName(rawValue: 0) }

    /// The small integer of the name `bytes`, in whatever case it is written.
    package init(_ bytes: Span<UInt8>) {
        self.init(bytes, KnownNames.shared)
    }

    /// The same, for who has the table at hand: asking for it costs a call each time.
    package init(_ bytes: Span<UInt8>, _ known: KnownNames) {
        self = FieldName.lookUp(bytes, known)
    }

    /// The name in its usual case; empty for `other`.
    package var text: StaticString { FieldNameTable.names[Int(rawValue)] }

    private static func lookUp(_ bytes: Span<UInt8>, _ names: KnownNames) -> FieldName {
        let count = bytes.count
        guard count > 1, count <= KnownName.bytesMax else { return .other }
        let hash = FieldNameTable.hash(
            count: count, first: bytes[unchecked: 0], last: bytes[unchecked: count - 1],
            middle: bytes[unchecked: count / 2])
        let candidate = names.slots[hash]
        guard candidate != 0 else { return .other }
        let known = names.names + Int(candidate)
        guard Int(known.pointee.count) == count else { return .other }
        // Sound: the name's padded words lie in the table, and the span is read within its bounds alone. Equal but
        // for case where both are letters: a name holds no other byte that the bit would confuse with one of those.
        let raw = bytes.bytes
        var index = 0
        while index + 8 <= count {
            let word = raw.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            if word | 0x2020_2020_2020_2020 != known.pointee.lowered[index / 8] { return .other }
            index += 8
        }
        let usual = known.pointee.wire
        while index < count {
            guard bytes[unchecked: index] | 0x20 == usual[index] | 0x20 else { return .other }
            index += 1
        }
        return FieldName(rawValue: candidate)
    }
}

/// A well-known name as the hot path wants it: padded for comparing and copying word by word.
package struct KnownName {
    /// Bytes of the longest name that is looked up.
    static let bytesMax = 32
    /// The bytes of the name, without its colon.
    package let count: UInt8
    /// The name with the bit of small letters set, eight bytes in each word.
    let lowered: [4 of UInt64]
    /// The name in its usual case, a colon and a blank, padded to 40 bytes.
    package let wire: UnsafePointer<UInt8>

    fileprivate init(_ name: StaticString) {
        let count = name.utf8CodeUnitCount
        precondition(count <= KnownName.bytesMax)
        self.count = UInt8(count)
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 40)
        bytes.initialize(repeating: 0, count: 40)
        bytes.update(from: name.utf8Start, count: count)
        var words: [4 of UInt64] = [0, 0, 0, 0]
        for index in 0..<4 {
            words[index] =
                UnsafeRawPointer(bytes + index * 8).loadUnaligned(as: UInt64.self) | 0x2020_2020_2020_2020
        }
        lowered = words
        bytes[count] = 58
        bytes[count + 1] = 32
        wire = UnsafePointer(bytes)
    }
}

/// The tables of well-known names, which live as long as the process and are never written again.
package struct KnownNames: @unchecked Sendable {
    /// By the small integer; the first stands for `other`.
    package let names: UnsafePointer<KnownName>
    /// By hash.
    fileprivate let slots: UnsafePointer<UInt8>
    /// Which octets may stand in a name, by octet: one load for each where a set of bits takes a branch more.
    package let isToken: UnsafePointer<Bool>

    package static let shared = KnownNames()

    private init() {
        let names = UnsafeMutablePointer<KnownName>.allocate(capacity: FieldName.count)
        for (index, name) in FieldNameTable.names.enumerated() {
            (names + index).initialize(to: KnownName(name))
        }
        self.names = UnsafePointer(names)
        let slots = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        let isToken = UnsafeMutablePointer<Bool>.allocate(capacity: 256)
        for index in 0..<256 {
            (slots + index).initialize(to: FieldNameTable.slots[index])
            (isToken + index).initialize(to: UInt8(index).isTokenCharacter)
        }
        self.slots = UnsafePointer(slots)
        self.isToken = UnsafePointer(isToken)
    }
}

extension FieldNameTable {
    /// The perfect hash; case does not matter.
    @inline(__always)
    fileprivate static func hash(count: Int, first: UInt8, last: UInt8, middle: UInt8) -> Int {
        (count &* lengthFactor &+ Int(first | 0x20) &* firstFactor &+ Int(last | 0x20) &* lastFactor
            &+ Int(middle | 0x20) &* middleFactor) & 255
    }
}
