extension Span where Element == UInt8 {
    /// Whether the octets are those of `text`, case and all.
    @inlinable @inline(__always)
    package func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        // Sound: the literal lives as long as the process, and the index stays below its length.
        let bytes = text.utf8Start
        for index in 0..<count where self[index] != bytes[index] { return false }
        return true
    }

    /// Whether the octets are those of `text`, `A` … `Z` and `a` … `z` being the same.
    @inlinable @inline(__always)
    package func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        // Sound: as above.
        let bytes = text.utf8Start
        for index in 0..<count where self[index].lowercased != bytes[index].lowercased { return false }
        return true
    }

    /// Whether both hold the same octets.
    @inlinable @inline(__always)
    package func equals(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        let (left, right) = (bytes, other.bytes)
        var index = 0
        // Sound: eight octets from index lie within both spans, which are as long as each other, and any bits make an
        // integer.
        while index &+ 8 <= count {
            guard
                left.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
                    == right.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            else { return false }
            index &+= 8
        }
        while index < count {
            if self[unchecked: index] != other[unchecked: index] { return false }
            index &+= 1
        }
        return true
    }

    /// Whether both hold the same octets, `A` … `Z` and `a` … `z` being the same.
    @inlinable @inline(__always)
    package func equalsIgnoringCase(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where self[index].lowercased != other[index].lowercased { return false }
        return true
    }

    /// Whether the first octets are those of `text`, case and all.
    @inlinable @inline(__always)
    package func starts(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && extracting(first: text.utf8CodeUnitCount).equals(text)
    }

    /// Whether the first octets are those of `text`, `A` … `Z` and `a` … `z` being the same.
    @inlinable @inline(__always)
    package func startsIgnoringCase(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount
            && extracting(first: text.utf8CodeUnitCount).equalsIgnoringCase(text)
    }

    /// Whether every octet is in `set`; an empty span says yes.
    @inlinable @inline(__always)
    package func allSatisfy(_ set: ByteSet) -> Bool {
        for index in 0..<count where !set.contains(self[index]) { return false }
        return true
    }

    /// Where `byte` stands first at or after `start`, or nil.
    @inlinable @inline(__always)
    package func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
        var index = max(0, start)
        while index < count {
            if self[index] == byte { return index }
            index &+= 1
        }
        return nil
    }

    /// Where `byte` stands last, or nil.
    @inlinable @inline(__always)
    package func lastIndex(of byte: UInt8) -> Int? {
        var index = count
        while index > 0 {
            index &-= 1
            if self[index] == byte { return index }
        }
        return nil
    }

    /// The part of `range` without SP and HTAB at either end (RFC 9110 §5.6.3: OWS).
    ///
    /// `range` must lie within the span. What is nothing but white space gives an empty range at its end.
    @inlinable @inline(__always)
    package func trimmingWhitespace(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, self[lower].isOptionalWhitespace { lower &+= 1 }
        while upper > lower, self[upper &- 1].isOptionalWhitespace { upper &-= 1 }
        return lower..<upper
    }

    /// The span without SP and HTAB at either end.
    @inlinable @inline(__always)
    @_lifetime(copy self)
    package func trimmingWhitespace() -> Span<UInt8> {
        extracting(trimmingWhitespace(0..<count))
    }
}

extension OutputSpan where Element == UInt8 {
    /// Appends all of `bytes`, or nothing where they do not fit.
    ///
    /// - Returns: whether they did.
    @inlinable @inline(__always)
    @discardableResult
    @_lifetime(self: copy self)
    package mutating func append(bytes: Span<UInt8>) -> Bool {
        guard freeCapacity >= bytes.count else { return false }
        for index in 0..<bytes.count { append(bytes[index]) }
        return true
    }

    /// Appends all of `text`, or nothing where it does not fit.
    ///
    /// - Returns: whether it did.
    @inlinable @inline(__always)
    @discardableResult
    @_lifetime(self: copy self)
    package mutating func append(text: StaticString) -> Bool {
        guard freeCapacity >= text.utf8CodeUnitCount else { return false }
        // Sound: the literal lives as long as the process, and the index stays below its length.
        let bytes = text.utf8Start
        for index in 0..<text.utf8CodeUnitCount { append(bytes[index]) }
        return true
    }
}

extension Array where Element == UInt8 {
    /// Appends all of `bytes`.
    @inlinable @inline(__always)
    package mutating func append(bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    /// The octets of `bytes`, copied.
    @inlinable @inline(__always)
    package init(copying bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { [UInt8]($0) }
    }
}
