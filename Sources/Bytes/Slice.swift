/// A range of bytes inside a buffer that its holder knows: eight bytes instead of a pointer and a count, and
/// still valid when the buffer moves.
@usableFromInline
package struct Slice: Equatable, Sendable {
    /// Where the range begins, in bytes from the buffer's start.
    @usableFromInline
    package var start: UInt32
    /// The number of bytes.
    @usableFromInline
    package var count: UInt32

    @inlinable @inline(__always)
    package init(start: Int, count: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.count = UInt32(truncatingIfNeeded: count)
    }

    /// A range without bytes, which also stands for "absent" where an empty value has no meaning.
    @inlinable @inline(__always)
    package static var empty: Slice { Slice(start: 0, count: 0) }

    @inlinable @inline(__always)
    package var isEmpty: Bool { count == 0 }

    /// The index behind the last byte.
    @inlinable @inline(__always)
    package var end: Int { Int(start) + Int(count) }

    /// The range as indices of the buffer.
    @inlinable @inline(__always)
    package var range: Range<Int> { Int(start)..<end }
}
