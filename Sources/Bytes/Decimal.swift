extension FixedWidthInteger {
    /// The number that `digits` spell in base ten: one digit or more, nothing else, no sign.
    ///
    /// Leading zeros are allowed, since RFC 9110 §8.6 allows them. What is empty, holds another octet or does
    /// not fit is nil.
    @inlinable @inline(__always)
    package init?(decimal digits: Span<UInt8>) {
        guard digits.count > 0 else { return nil }
        var value: Self = 0
        for index in 0..<digits.count {
            guard digits[index].isDigit else { return nil }
            let (product, tooBig) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow) = product.addingReportingOverflow(
                Self(truncatingIfNeeded: digits[index] &- 0x30))
            if tooBig || overflow { return nil }
            value = sum
        }
        self = value
    }

    /// The number that `digits` spell in base sixteen: one digit or more of either case, nothing else, no
    /// sign.
    ///
    /// Leading zeros are allowed (RFC 9112 §7.1: chunk-size). What is empty, holds another octet or does not
    /// fit is nil.
    @inlinable @inline(__always)
    package init?(hexadecimal digits: Span<UInt8>) {
        guard digits.count > 0 else { return nil }
        var value: Self = 0
        for index in 0..<digits.count {
            guard let digit = digits[index].hexValue else { return nil }
            let (product, tooBig) = value.multipliedReportingOverflow(by: 16)
            let (sum, overflow) = product.addingReportingOverflow(Self(truncatingIfNeeded: digit))
            if tooBig || overflow { return nil }
            value = sum
        }
        self = value
    }
}

extension UInt64 {
    /// How many digits the number has in base ten: 1 … 20.
    @inlinable @inline(__always)
    package var decimalDigits: Int {
        var count = 1
        var rest = self
        while rest >= 10 {
            rest /= 10
            count &+= 1
        }
        return count
    }

    /// How many digits the number has in base sixteen: 1 … 16.
    @inlinable @inline(__always)
    package var hexadecimalDigits: Int { Swift.max(1, (67 &- leadingZeroBitCount) / 4) }
}

extension OutputSpan where Element == UInt8 {
    /// Appends `value` in base ten without leading zeros, or nothing where it does not fit.
    ///
    /// - Returns: whether it did.
    @inlinable @inline(__always)
    @discardableResult
    @_lifetime(self: copy self)
    package mutating func append(decimal value: UInt64) -> Bool {
        let count = value.decimalDigits
        guard freeCapacity >= count else { return false }
        let digits = DecimalDigits(value)
        for index in (20 &- count)..<20 { append(digits.bytes[index]) }
        return true
    }

    /// Appends `value` in base sixteen, small letters, without leading zeros, or nothing where it does not
    /// fit.
    ///
    /// - Returns: whether it did.
    @inlinable @inline(__always)
    @discardableResult
    @_lifetime(self: copy self)
    package mutating func append(hexadecimal value: UInt64) -> Bool {
        let count = value.hexadecimalDigits
        guard freeCapacity >= count else { return false }
        for place in (0..<count).reversed() { append(value.hexadecimalDigit(at: place)) }
        return true
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Writes `value` in base ten at `offset`.
    ///
    /// - Returns: how many octets were written, 1 … 20; 0 where they do not fit, and then nothing is changed.
    @inlinable @inline(__always)
    package func write(decimal value: UInt64, at offset: Int = 0) -> Int {
        let length = value.decimalDigits
        guard offset >= 0, offset <= count, count &- offset >= length else { return 0 }
        var rest = value
        var index = offset &+ length
        repeat {
            index &-= 1
            self[index] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
            rest /= 10
        } while rest > 0
        return length
    }

    /// Writes `value` in base sixteen, small letters, at `offset`.
    ///
    /// - Returns: how many octets were written, 1 … 16; 0 where they do not fit, and then nothing is changed.
    @inlinable @inline(__always)
    package func write(hexadecimal value: UInt64, at offset: Int = 0) -> Int {
        let length = value.hexadecimalDigits
        guard offset >= 0, offset <= count, count &- offset >= length else { return 0 }
        for place in 0..<length {
            self[offset &+ length &- 1 &- place] = value.hexadecimalDigit(at: place)
        }
        return length
    }
}

extension UInt64 {
    /// The digit at `place`, counted from the right, as an ASCII octet.
    @inlinable @inline(__always)
    func hexadecimalDigit(at place: Int) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: self &>> UInt64(place &* 4)) & 0xF
        return digit < 10 ? digit &+ 0x30 : digit &+ 0x57
    }
}

/// Twenty digits of a number, right-aligned and filled with zeros.
@usableFromInline
struct DecimalDigits {
    @usableFromInline var bytes = InlineArray<20, UInt8>(repeating: 0x30)

    @inlinable @inline(__always)
    init(_ value: UInt64) {
        var rest = value
        var index = 20
        while rest > 0 {
            index &-= 1
            bytes[index] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
            rest /= 10
        }
    }
}
