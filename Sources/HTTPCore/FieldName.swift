
/// A field name as a small integer: one of those that a gateway looks at, or `other`, whose bytes then say it.
/// RFC 9110 §5.1: names are case-insensitive, which is settled here once for each field received.
package struct FieldName: RawRepresentable, Equatable, Hashable, Sendable {
    package let rawValue: UInt8

    @inlinable
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A name that is not in the table.
    package static let other = FieldName(rawValue: 0)

    /// The small integer of the name `bytes`, in whatever case it is written.
    package init(_ bytes: Span<UInt8>) {
        self = FieldName.lookUp(bytes)
    }

    /// The name in its usual case; empty for `other`.
    package var text: StaticString { FieldNameTable.names[Int(rawValue)] }

    private static func lookUp(_ bytes: Span<UInt8>) -> FieldName {
        let count = bytes.count
        guard count > 1, count < 64 else { return .other }
        let factors = FieldNameTable.factors
        let hash = count &* factors.0 &+ Int(bytes[0] | 0x20) &* factors.1
            &+ Int(bytes[count - 1] | 0x20) &* factors.2 &+ Int(bytes[count / 2] | 0x20) &* factors.3
        let candidate = FieldNameTable.slots[hash & 255]
        guard candidate != 0 else { return .other }
        let name = FieldNameTable.names[Int(candidate)]
        guard name.utf8CodeUnitCount == count else { return .other }
        for index in 0..<count {
            // Equal but for case where both are letters; a name holds no byte that the bit would confuse
            // with another but letters, since `@` and back-tick are refused before.
            guard bytes[index] | 0x20 == name.utf8Start[index] | 0x20 else { return .other }
        }
        return FieldName(rawValue: candidate)
    }
}
