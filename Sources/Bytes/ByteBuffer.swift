/// A growing buffer of bytes with a read and a write position: what arrived and is not yet consumed, or what is
/// to be sent and is not yet written.
///
/// Confined to one thread like everything below a worker. Its positions are read and written many times for each
/// request, so exclusivity is not checked at run time for them: no method hands a reference to a position out.
@usableFromInline
package final class ByteBuffer {
    @exclusivity(unchecked)
    @usableFromInline package private(set) var base: UnsafeMutablePointer<UInt8>
    /// The number of bytes that fit before the buffer has to grow.
    @exclusivity(unchecked)
    @usableFromInline package private(set) var capacity: Int
    /// The index of the first unread byte.
    @exclusivity(unchecked)
    @usableFromInline package internal(set) var start = 0
    /// The index behind the last byte written.
    @exclusivity(unchecked)
    @usableFromInline package internal(set) var end = 0

    package init(capacity: Int) {
        precondition(capacity > 0)
        base = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { base.deallocate() }

    /// The number of bytes to read.
    @inlinable @inline(__always)
    package var count: Int { end - start }

    @inlinable @inline(__always)
    package var isEmpty: Bool { start == end }

    /// The bytes to read. They stay where they are until the next call that writes or grows.
    @inlinable @inline(__always)
    package var readable: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            // Sound: start...end lies within the allocation, which lives as long as self.
            let span = Span(_unsafeStart: base + start, count: end - start)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// The free room behind the last byte, for a system call that reads.
    @inlinable @inline(__always)
    package var writable: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + end, count: capacity - end)
    }

    /// The bytes to read, for a system call that writes.
    @inlinable @inline(__always)
    package var pending: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + start, count: end - start)
    }

    /// Counts `count` bytes as written into `writable`.
    @inlinable @inline(__always)
    package func commit(_ count: Int) {
        precondition(count >= 0 && count <= capacity - end)
        end += count
    }

    /// Counts `count` bytes as read.
    @inlinable @inline(__always)
    package func consume(_ count: Int) {
        precondition(count >= 0 && count <= end - start)
        start += count
        if start == end {
            start = 0
            end = 0
        }
    }

    /// Forgets all bytes; the memory stays.
    @inlinable @inline(__always)
    package func clear() {
        start = 0
        end = 0
    }

    /// Gives back the memory that the bytes to read do not need.
    package func trim() {
        let unread = end - start
        let least = max(16, unread)
        guard capacity > least else { return }
        let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: least)
        fresh.update(from: base + start, count: unread)
        base.deallocate()
        (base, capacity, start, end) = (fresh, least, 0, unread)
    }

    /// Takes back the bytes behind index `end`, for a writer that changes its mind.
    @inlinable @inline(__always)
    package func truncate(to newEnd: Int) {
        precondition(newEnd >= start && newEnd <= end)
        end = newEnd
    }

    /// Makes room for `count` more bytes, first by moving what is unread to the front, then by growing.
    @inlinable @inline(__always)
    package func reserve(_ count: Int) {
        if capacity - end < count { makeRoom(count) }
    }

    @usableFromInline
    func makeRoom(_ needed: Int) {
        let unread = end - start
        if capacity - unread >= needed && start >= capacity / 2 {
            base.update(from: base + start, count: unread)
        } else {
            var grown = capacity * 2
            while grown - unread < needed { grown *= 2 }
            let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: grown)
            fresh.update(from: base + start, count: unread)
            base.deallocate()
            base = fresh
            capacity = grown
        }
        start = 0
        end = unread
    }

    @inlinable @inline(__always)
    package func append(_ byte: UInt8) {
        reserve(1)
        base[end] = byte
        end += 1
    }

    @inlinable @inline(__always)
    package func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append($0) }
    }

    @inlinable @inline(__always)
    package func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count)
        (base + end).update(from: source, count: bytes.count)
        end += bytes.count
    }

    @inlinable @inline(__always)
    package func append(_ bytes: UnsafeRawBufferPointer) {
        append(bytes.assumingMemoryBound(to: UInt8.self))
    }

    @inlinable @inline(__always)
    package func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a string's UTF-8; not for the hot path.
    package func append(string: String) {
        var copy = string
        copy.withUTF8 { append($0) }
    }

    /// Appends `value` in decimal digits.
    @inlinable @inline(__always)
    package func append(decimal value: Int) {
        precondition(value >= 0)
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { room in
            var position = room.count
            var rest = value
            repeat {
                position -= 1
                room[position] = UInt8(truncatingIfNeeded: 48 + rest % 10)
                rest /= 10
            } while rest > 0
            append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[position...]))
        }
    }

    /// Appends `value` in lower-case hexadecimal digits, at least one.
    package func append(hexadecimal value: Int) {
        precondition(value >= 0)
        var shift = value == 0 ? 0 : (63 - value.leadingZeroBitCount) / 4 * 4
        reserve(16)
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: (value >> shift) & 15)
            append(digit < 10 ? 48 + digit : 87 + digit)
            shift -= 4
        }
    }
}
