/// A set of octets as two 64-bit words and one bit for all octets from 0x80 on.
///
/// A test is a select and a shift: no table is loaded, so the sets below cost nothing in other modules
/// either.
@usableFromInline
package struct ByteSet: Sendable {
    /// Members among 0x00 … 0x3F, bit by bit.
    @usableFromInline package let low: UInt64
    /// Members among 0x40 … 0x7F, bit by bit.
    @usableFromInline package let high: UInt64
    /// Whether the octets 0x80 … 0xFF (RFC 9110 §5.5: obs-text) are members, all of them or none.
    @usableFromInline package let beyondASCII: Bool

    @inlinable @inline(__always)
    package init(low: UInt64, high: UInt64, beyondASCII: Bool = false) {
        self.low = low
        self.high = high
        self.beyondASCII = beyondASCII
    }

    @inlinable @inline(__always)
    package func contains(_ byte: UInt8) -> Bool {
        if byte >= 0x80 { return beyondASCII }
        let word = byte < 0x40 ? low : high
        return (word &>> UInt64(byte & 0x3F)) & 1 != 0
    }
}

extension ByteSet {
    /// RFC 9110 §5.6.2: tchar.
    @inlinable package static var token: ByteSet {
        ByteSet(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)
    }
    /// RFC 9110 §5.5: field-vchar, which is VCHAR and obs-text.
    @inlinable package static var fieldVisible: ByteSet {
        ByteSet(low: 0xFFFF_FFFE_0000_0000, high: 0x7FFF_FFFF_FFFF_FFFF, beyondASCII: true)
    }
    /// What may stand anywhere in a field value: field-vchar, SP and HTAB.
    @inlinable package static var fieldValue: ByteSet {
        ByteSet(low: 0xFFFF_FFFF_0000_0200, high: 0x7FFF_FFFF_FFFF_FFFF, beyondASCII: true)
    }
    /// RFC 9110 §8.8.3: etagc, which is VCHAR without the double quote, and obs-text.
    @inlinable package static var entityTag: ByteSet {
        ByteSet(low: 0xFFFF_FFFA_0000_0000, high: 0x7FFF_FFFF_FFFF_FFFF, beyondASCII: true)
    }
    /// RFC 3986 §2.3: unreserved.
    @inlinable package static var unreserved: ByteSet {
        ByteSet(low: 0x03FF_6000_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)
    }
    /// RFC 3986 §3.2.2: what a reg-name holds beside escapes: unreserved and sub-delims.
    @inlinable package static var registeredName: ByteSet {
        ByteSet(low: 0x2BFF_7FD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)
    }
    /// RFC 3986 §3.3: pchar and "/", without the percent sign.
    @inlinable package static var path: ByteSet {
        ByteSet(low: 0x2FFF_FFD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFF)
    }
}

extension UInt8 {
    /// RFC 9110 §5.6.2: may stand in a token.
    @inlinable package var isTokenCharacter: Bool { ByteSet.token.contains(self) }

    /// RFC 9110 §5.5: may stand in a field value, its middle that is: visible, obs-text, SP or HTAB.
    @inlinable package var isFieldValueCharacter: Bool { ByteSet.fieldValue.contains(self) }

    /// RFC 9110 §5.6.3: optional white space, SP or HTAB.
    @inlinable package var isOptionalWhitespace: Bool { self == 0x20 || self == 0x09 }

    /// C0 controls and DEL.
    @inlinable package var isControl: Bool { self < 0x20 || self == 0x7F }

    /// `0` … `9`.
    @inlinable package var isDigit: Bool { self &- 0x30 < 10 }

    /// `A` … `Z` and `a` … `z`.
    @inlinable package var isLetter: Bool { (self | 0x20) &- 0x61 < 26 }

    /// The value of a hexadecimal digit of either case, or nil.
    @inlinable package var hexValue: UInt8? {
        if isDigit { return self &- 0x30 }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }

    /// The small letter for `A` … `Z`; every other octet is itself.
    @inlinable package var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }
}
